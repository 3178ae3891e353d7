"""Tests for L{anp_twisted.gateway.routes}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.routes import RouteTable
from anp_twisted.places import Place, parse_place
from anp_twisted.test.registrylab import book


class RouteTableTests(SynchronousTestCase):
    """The pools by place; how places match is tested with L{anp_twisted.places}."""

    def found(self, routes: RouteTable, host: bytes, target: bytes) -> str:
        """The place that a request is for."""
        pool = routes.match(host, target)
        return "nobody" if pool is None else str(pool.place)

    def test_pools(self) -> None:
        """Asking for a place makes its pool once, and a request finds it."""
        routes, place = RouteTable(), Place(b"", b"/a")
        pool = routes.pool(place)
        self.assertIs(routes.pool(place), pool)
        self.assertIs(routes.match(b"x", b"/a/b"), pool)
        self.assertEqual((pool.place, routes.pools(), len(routes)), (place, [pool], 1))
        routes.drop(place)
        self.assertIsNone(routes.match(b"x", b"/a/b"))

    def test_owned(self) -> None:
        """A place whose owner is away is not served by whoever has a shorter prefix, or any host."""
        routes = RouteTable()
        routes.pool(parse_place("/"))
        routes.adopt(book({"bob": ["/a", "b.example/"]}))
        rows = {(b"x", b"/"): "/", (b"x", b"/a/b"): "/a", (b"b.example", b"/c"): "b.example/"}
        self.assertEqual({row: self.found(routes, *row) for row in rows}, rows)
        self.assertEqual([pool.size for pool in routes.pools()], [0, 0, 0])

    def test_forgotten(self) -> None:
        """To forget a pool is not to forget whose the place is."""
        routes = RouteTable()
        routes.pool(parse_place("/"))
        routes.adopt(book({"bob": ["/a"]}))
        self.assertEqual(self.found(routes, b"x", b"/a"), "/a")
        routes.drop(parse_place("/a"))
        self.assertEqual(self.found(routes, b"x", b"/a"), "/a")

    def test_adopt(self) -> None:
        """Pools stay; a place that is nobody's any more belongs to the shorter prefix again."""
        routes = RouteTable()
        root = routes.pool(parse_place("/"))
        routes.adopt(book({"bob": ["/a"]}))
        routes.adopt(book({"bob": ["/b"]}))
        self.assertIs(routes.match(b"x", b"/a"), root)
        self.assertEqual(self.found(routes, b"x", b"/b"), "/b")
