"""
From a request target to the pool of receivers that serves it.

How prefixes match is a matter of L{anp_twisted.paths}; what is forwarded is the
target as it came.
"""

from __future__ import annotations

from anp_twisted.gateway.balancer import Pool
from anp_twisted.paths import Prefixes


class RouteTable(Prefixes[Pool]):
    """The pools by prefix."""

    def pools(self) -> list[Pool]:
        """List all pools."""
        return self.values()

    def pool(self, key: bytes) -> Pool:
        """Find the pool of a prefix key, or make it."""
        found = self.get(key)
        if found is None:
            found = Pool(key)
            self.put(key, found)
        return found
