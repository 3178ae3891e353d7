"""Rules of L{anp_twisted.places}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.paths import AmbiguousTarget
from anp_twisted.places import Place, Places, host_name, parse_place


def table(*places: str) -> Places[str]:
    """Places that tell themselves apart."""
    made: Places[str] = Places()
    for text in places:
        made.put(parse_place(text), text)
    return made


class PlaceTests(SynchronousTestCase):
    """How a place is written."""

    def test_forms(self) -> None:
        """Host in lower case and without a dot behind it, prefix without a slash."""
        rows = {
            "/": "/",
            "/a/": "/a",
            "Example.ORG": "example.org/",
            "example.org./A/": "example.org/A",
            "*.example.org": "*.example.org/",
            "[::1]/x": "[::1]/x",
            "127.0.0.1/x": "127.0.0.1/x",
            "localhost/": "localhost/",
        }
        self.assertEqual({text: str(parse_place(text)) for text in rows}, rows)

    def test_refused(self) -> None:
        """Anything that is none, or could be read in two ways."""
        bad = [
            "",
            "shop",
            "[::1]",
            "https://a.example",
            "a.example:80",
            "*",
            "a.*.example",
            "**.example",
            "a b",
            "-a.example",
            "/a/../b",
        ]
        bad += [
            "//a",
            "/%61",
            "/a;b",
            "/a?b",
            "a..b",
            "/" + "x" * 600,
            "x" * 254,
            "\u00e9.example",
            "/a\n",
            "a.example\n",
        ]
        for text in bad:
            with self.assertRaises(ValueError, msg=text):
                parse_place(text)

    @given(st.text(alphabet="ab./*-%:[]1 \n", max_size=12))
    def test_roundTrip(self, text: str) -> None:
        """What is a place is written as the same place."""
        try:
            place = parse_place(text)
        except ValueError:
            return
        self.assertEqual(parse_place(str(place)), place)

    def test_hostOfARequest(self) -> None:
        """Without port, case and the dot of the root."""
        rows = {
            b"A.Example:80": b"a.example",
            b"a.example.": b"a.example",
            b"[::1]:8": b"[::1]",
            b"": b"",
            b"1.2.3.4:5": b"1.2.3.4",
        }
        self.assertEqual({host: host_name(host) for host in rows}, rows)

    def test_covers(self) -> None:
        """A place covers what is below it in whole segments, on its own host."""
        place = Place(b"h", b"/a")
        rows = {
            Place(b"h", b"/a"): True,
            Place(b"h", b"/a/b"): True,
            Place(b"h", b"/ab"): False,
            Place(b"", b"/a"): False,
        }
        self.assertEqual({other: place.covers(other) for other in rows}, rows)


class PlacesTests(SynchronousTestCase):
    """Which place a request belongs to."""

    ALL = ("/", "/a", "b.example/x", "*.b.example/", "*.example/y", "c.b.example/z")

    def test_oneHost(self) -> None:
        """The table of the nearest host alone counts."""
        routes = table(*self.ALL)
        rows = {
            (b"other.test", b"/a/b"): "/a",
            (b"other.test", b"/x"): "/",
            (b"b.example", b"/x/1"): "b.example/x",
            (b"B.EXAMPLE.:443", b"/x"): "b.example/x",
            (b"b.example", b"/a"): None,
            (b"d.b.example", b"/a"): "*.b.example/",
            (b"e.d.b.example", b"/a"): "*.b.example/",
            (b"c.b.example", b"/a"): None,
            (b"c.b.example", b"/z"): "c.b.example/z",
            (b"x.example", b"/y"): "*.example/y",
            (b"x.example", b"/a"): None,
            (b"example", b"/a"): "/a",
            (b"xb.example", b"/x"): None,
            (b"[::1]", b"/a"): "/a",
            (b"", b"/a"): "/a",
        }
        self.assertEqual({row: routes.match(*row) for row in rows}, rows)

    def test_wide(self) -> None:
        """The next host is asked where the nearest has nothing."""
        routes = table(*self.ALL)
        rows = {
            (b"c.b.example", b"/a"): "*.b.example/",
            (b"x.example", b"/a"): "/a",
            (b"b.example", b"/y"): "*.example/y",
            (b"b.example", b"/q"): "/",
        }
        self.assertEqual({row: routes.match_wide(*row) for row in rows}, rows)

    def test_ambiguous(self) -> None:
        """Two readings of a target are told apart on a host of its own as well."""
        routes = table("h.example/a", "h.example/b")
        self.assertRaises(AmbiguousTarget, routes.match, b"h.example", b"/a/../b")
        self.assertRaises(AmbiguousTarget, routes.match_wide, b"h.example", b"/a/%2e%2e/b")

    def test_drop(self) -> None:
        """A host without places is none any more."""
        routes = table("/", "h.example/a")
        self.assertEqual((len(routes), sorted(routes.values())), (2, ["/", "h.example/a"]))
        self.assertIsNone(routes.match(b"h.example", b"/"))
        for _ in range(2):
            routes.drop(parse_place("h.example/a"))
        self.assertEqual((routes.match(b"h.example", b"/"), len(routes)), ("/", 1))
        self.assertIsNone(routes.get(parse_place("h.example/a")))
        self.assertEqual(routes.get(parse_place("/")), "/")
