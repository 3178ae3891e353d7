"""Tests of L{anp_twisted.targets}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.paths import canonical, path_of
from anp_twisted.targets import OutsideBase, Target, parse_target

PIECES = st.lists(st.sampled_from(["/", "..", ".", "%2e", "%2F", "%5c", "\\", ";", "a", "%25", "2e", "?"]), max_size=12)


class ParseTests(SynchronousTestCase):
    """What the operator may write."""

    def test_forms(self) -> None:
        """A URL gives scheme, host, port and base; a file of a socket is one too."""
        cases = {
            "http://127.0.0.1:3000": Target(False, "127.0.0.1", 3000),
            "http://localhost/": Target(False, "localhost", 80),
            "https://App.lan/api/": Target(True, "app.lan", 443, base=b"/api"),
            "http://[::1]:8080/a/b": Target(False, "::1", 8080, base=b"/a/b"),
            "unix:/run/app.sock": Target(False, "localhost", 0, socket="/run/app.sock"),
        }
        self.assertEqual({text: parse_target(text) for text in cases}, cases)

    def test_refused(self) -> None:
        """Anything else is refused with the form that is wanted."""
        for text in (
            *("", "127.0.0.1:3000", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://h:x", "http:///a"),
            *(
                "http://u:p@h",
                "http://h/?q",
                "http://h/#f",
                "http://h?",
                "http://h/a/../b",
                "http://h/%2e",
                "http://h//a",
            ),
            *("http://h /", "unix:relative", "unix:", "unix:/" + "x" * 100, "http://[::1"),
        ):
            error = self.assertRaises(ValueError, parse_target, text)
            self.assertTrue(str(error).startswith("must "), text)

    def test_names(self) -> None:
        """C{Host} has the port where it is not the usual one, and brackets where they are needed."""
        texts = ["http://h", "http://h:80", "http://h:81", "https://h:443", "http://[::1]:81", "unix:/x"]
        self.assertEqual(
            [parse_target(text).authority for text in texts], [b"h", b"h", b"h:81", b"h", b"[::1]:81", b"localhost"]
        )
        self.assertEqual([parse_target(text).url for text in ("https://h/a", "unix:/x")], ["https://h/a", "unix:/x"])


class JoinTests(SynchronousTestCase):
    """Nothing that a caller writes leaves the base."""

    def setUp(self) -> None:
        self.bare = Target(False, "h", 80)
        self.based = Target(False, "h", 80, base=b"/base")

    def test_byte_for_byte(self) -> None:
        """What may be sent is sent as it came."""
        for target in (b"/", b"/a%2Fb?x=%20", b"/a?", b"//evil", b"/a/../b", b"/%C3%A9\xe9", b"/?/../..", b"/a;x/."):
            self.assertEqual((self.bare.join(target), self.based.join(target)), (target, b"/base" + target))

    def test_only_paths(self) -> None:
        """A target is a path; C{*} is one for a whole server only."""
        for target in (b"", b"http://evil/", b"evil:443", b"a", b"/a b", b"/a\r\nX: y", b"/\x00"):
            self.assertRaises(OutsideBase, self.bare.join, target)
            self.assertRaises(OutsideBase, self.based.join, target)
        self.assertEqual(self.bare.join(b"*"), b"*")
        self.assertRaises(OutsideBase, self.based.join, b"*")

    def test_climbing(self) -> None:
        """What some server may read as a way up is refused, where there is something above."""
        for target in (
            b"/..",
            b"/%2e%2e/x",
            b"/.%2E",
            b"/a/..%2f..",
            b"/a/../../b",
            b"/..;a=b/x",
            b"/..\\x",
            b"/%5c..%5c",
        ):
            self.assertEqual(self.bare.join(target), target)
            self.assertRaises(OutsideBase, self.based.join, target)
        for target in (b"/%252e%252e/x", b"/%25252e%25252e", b"//../x", b"/./../x"):
            self.assertRaises(OutsideBase, self.based.join, target)

    @given(PIECES)
    def test_whatever_is_written(self, pieces: list[str]) -> None:
        """What is passed on is below the base as the gateway reads paths."""
        target = b"/" + "".join(pieces).encode()
        try:
            joined = self.based.join(target)
        except OutsideBase:
            return
        read = canonical(path_of(joined))
        self.assertTrue(read == b"/base" or read.startswith(b"/base/"), (joined, read))
