"""Tests for L{anp_twisted.paths}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.paths import AmbiguousTarget, InvalidPrefix, Prefixes, below, canonical, prefix_key

SEGMENT = st.text("abcAB01-_~", min_size=1, max_size=4)
PATHS = st.lists(SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(parts))


def table(*prefixes: str) -> Prefixes[bytes]:
    """Make a table in which the value of each prefix is its key."""
    routes: Prefixes[bytes] = Prefixes()
    for prefix in prefixes:
        routes.put(prefix_key(prefix), prefix_key(prefix))
    return routes


def found(routes: Prefixes[bytes], target: bytes) -> bytes | None:
    """The key of the prefix that serves a target."""
    return routes.match(target)


class PrefixTests(SynchronousTestCase):
    """What a receiver may announce."""

    def test_form(self) -> None:
        """A slash at the end makes no difference, and the root is empty."""
        self.assertEqual(
            [prefix_key(prefix) for prefix in ("/", "/a", "/a/", "/a/b", "/.well-known")],
            [b"", b"/a", b"/a", b"/a/b", b"/.well-known"],
        )

    def test_refused(self) -> None:
        """What could be read in more than one way is no prefix."""
        for prefix in (
            "",
            "a",
            "//",
            "/a//b",
            "/..",
            "/a/../b",
            "/a%2Fb",
            "/a;b",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/a b",
            "/é",
            "/a\n",
        ):
            with self.assertRaises(InvalidPrefix, msg=repr(prefix)):
                prefix_key(prefix)


class MatchTests(SynchronousTestCase):
    """The longest prefix of whole segments wins."""

    def test_whole_segments(self) -> None:
        """C{/a} serves itself and what is below it, never a longer name."""
        routes = table("/a")
        self.assertEqual(found(routes, b"/a"), b"/a")
        self.assertEqual(found(routes, b"/a/"), b"/a")
        self.assertEqual(found(routes, b"/a/b?x=/c"), b"/a")
        self.assertEqual(found(routes, b"/a?x"), b"/a")
        self.assertIsNone(found(routes, b"/ab"))
        self.assertIsNone(found(routes, b"/"))
        self.assertIsNone(found(routes, b"/A"))

    def test_longest(self) -> None:
        """The deepest prefix is asked first, the root last."""
        routes = table("/", "/a", "/a/b/c")
        self.assertEqual(found(routes, b"/a/b/c/d"), b"/a/b/c")
        self.assertEqual(found(routes, b"/a/b/d"), b"/a")
        self.assertEqual(found(routes, b"/x/a/b/c"), b"")

    def test_asterisk(self) -> None:
        """C{OPTIONS *} concerns the server, so it goes where the root goes."""
        self.assertEqual(found(table("/", "/a"), b"*"), b"")
        self.assertIsNone(found(table("/a"), b"*"))

    def test_dropped(self) -> None:
        """A prefix that was dropped serves nothing, and a shorter one does."""
        routes = table("/a", "/a/b")
        routes.drop(b"/a/b")
        routes.drop(b"/a/b")
        self.assertEqual((found(routes, b"/a/b"), len(routes)), (b"/a", 1))

    def test_replaced(self) -> None:
        """Another value for a prefix takes the place of the first."""
        routes = table("/a")
        routes.put(b"/a", b"new")
        self.assertEqual((found(routes, b"/a/x"), routes.values(), len(routes)), (b"new", [b"new"], 1))
        routes.drop(b"/a")
        self.assertEqual((found(routes, b"/a"), routes.get(b"/a"), len(routes)), (None, None, 0))

    def test_ambiguous(self) -> None:
        """Targets whose readings lead to different receivers are refused."""
        routes = table("/", "/a", "/b")
        for target in (
            b"/a/../b",
            b"/a/%2e%2e/b",
            b"//b/x",
            b"/a%2Fx",
            b"/x/..%2fa",
            b"/b\\..\\a",
            b"/a;v=1/x",
            b"/%61",
            b"/./b",
        ):
            with self.assertRaises(AmbiguousTarget, msg=str(target)):
                routes.match(target)

    def test_unambiguous(self) -> None:
        """The same spellings are welcome where every reading leads to the same receiver."""
        routes = table("/", "/a")
        for target in (b"/a/%2F", b"/a/x/../y", b"/x//y", b"/a/b;v=1", b"/x/%2e%2e/y", b"/a?x=../../b%2F"):
            routes.match(target)
        for target in (b"/a/../b", b"/%2F/../.."):
            self.assertEqual(found(table("/"), target), b"")

    def test_many_slashes(self) -> None:
        """A long target costs no more look-ups than the deepest prefix has segments."""
        routes = table("/", "/a/b")
        self.assertEqual(found(routes, b"/" * 8000), b"")

    @given(st.lists(PATHS, max_size=8), PATHS)
    def test_against_model(self, prefixes: list[str], path: str) -> None:
        """The table agrees with trying every prefix, the longest first."""
        routes = table(*prefixes)
        keys = sorted({prefix_key(prefix) for prefix in prefixes}, key=len, reverse=True)
        raw = path.encode()
        expected = next((key for key in keys if raw == key or raw.startswith(key + b"/")), None)
        self.assertEqual(found(routes, raw), expected)

    @given(PATHS)
    def test_canonical_is_stable(self, path: str) -> None:
        """Reading a canonical path again changes nothing."""
        once = canonical(path.encode())
        self.assertEqual(canonical(once), once)


class BelowTests(SynchronousTestCase):
    """A prefix is cut off."""

    def test_rows(self) -> None:
        """What is left begins with a slash, and is otherwise as it came."""
        rows = {b"/a/b": b"/b", b"/a": b"/", b"/a?q=/a": b"/?q=/a", b"/a/": b"/", b"/a//b%2F": b"//b%2F", b"*": b"*"}
        self.assertEqual({target: below(target, b"/a") for target in rows}, rows)
        self.assertEqual(below(b"/x?y", b""), b"/x?y")
