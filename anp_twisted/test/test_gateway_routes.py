"""Tests for L{anp_twisted.gateway.routes}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.routes import RouteTable


class RouteTableTests(SynchronousTestCase):
    """The pools by prefix; how prefixes match is tested with L{anp_twisted.paths}."""

    def test_pools(self) -> None:
        """Asking for a prefix makes its pool once, and a target finds it."""
        routes = RouteTable()
        pool = routes.pool(b"/a")
        self.assertIs(routes.pool(b"/a"), pool)
        self.assertIs(routes.match(b"/a/b"), pool)
        self.assertEqual((pool.key, routes.pools()), (b"/a", [pool]))
        routes.drop(b"/a")
        self.assertIsNone(routes.match(b"/a/b"))
