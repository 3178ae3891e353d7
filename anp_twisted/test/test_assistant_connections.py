"""Tests of all clients together."""

from __future__ import annotations

from anp_twisted.assistant.errors import Overloaded
from anp_twisted.assistant.tokens import Principal
from anp_twisted.test.assistantlab import OWN_TOKEN, AssistantTests


class ConnectionsTests(AssistantTests):
    """Room, revocation, goodbye."""

    def test_room(self) -> None:
        """There are so many in all, and so many from one address, where a /64 of IPv6 is one."""
        lab = self.with_limits(assistant_connections=3, assistant_connections_per_address=2)
        lab.client(address="2001:db8::1")
        lab.client(address="2001:db8::2")
        self.assertFalse(lab.connections.has_room("2001:db8::3"))
        self.assertTrue(lab.connections.has_room("192.0.2.1"))
        last = lab.client(address="192.0.2.1")
        self.assertFalse(lab.connections.has_room("192.0.2.9"))
        last.socket.abort()
        self.assertTrue(lab.connections.has_room("192.0.2.9"))

    def test_principal(self) -> None:
        """And so many of one principal, however it says who it is."""
        lab = self.with_limits(assistant_connections_per_principal=1)
        lab.client(None).call("connect", token=OWN_TOKEN)
        self.assertEqual(lab.client(None).code("connect", token=OWN_TOKEN), -32030)
        self.assertRaises(Overloaded, lab.connections.claim, Principal("admin", "admin", "x"))
        lab.connections.claim(Principal("bob", "user", "y"))

    def test_timer(self) -> None:
        """There is one timer, and none for nobody."""
        clients = [self.lab.client() for _ in range(5)]
        self.assertEqual(len(self.lab.clock.getDelayedCalls()), 1)
        for client in clients:
            client.socket.abort()
        self.assertEqual(self.lab.clock.getDelayedCalls(), [])

    def test_closeAll(self) -> None:
        """Everybody hears why."""
        clients = [self.lab.client(), self.lab.client(None)]
        self.lab.connections.close_all(1001, "the server stops")
        self.assertEqual([one.socket.closed for one in clients], [(1001, b"the server stops")] * 2)
        self.lab.connections.abort_all()
        self.assertEqual(len(self.lab.connections), 0)
