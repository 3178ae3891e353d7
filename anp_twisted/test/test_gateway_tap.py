"""Tests for L{anp_twisted.gateway.tap}."""

from __future__ import annotations

from anp_twisted.auth.identity import RECEIVER, Credentials
from anp_twisted.gateway import tap as gateway
from anp_twisted.test.commandlab import CommandCase


class GatewayCommandTests(CommandCase):
    """C{twistd anp-gateway}."""

    def test_defaults(self) -> None:
        """Everybody's address and the usual ports, and a token that was made."""
        service = self.make(gateway)
        self.assertEqual(self.names(service), ["0.0.0.0 port 9877", "127.0.0.1 port 9878"])
        with open("anp-state/receiver.token", encoding="ascii") as file:
            token = file.read().strip()
        shown = Credentials(b"GET", b"/ws", [(b"Authorization", f"Bearer {token}".encode())])
        self.assertEqual(self.successResultOf(service.entrance._interview.ask(shown)), RECEIVER)

    def test_listeners(self) -> None:
        """Each setting of a listener arrives where it is obeyed."""
        service = self.make(gateway, "--port=1", "--host=::1", "--wss-port=2", "--management-port=off")
        self.assertEqual(self.names(service), ["::1 port 1", "::1 port 2"])
        self.assertIs(service._listeners[1]._factory, service.link_front)
        service = self.make(gateway, "--listen=tcp:5", "--wss-listen=tcp:6", "--management-port=7")
        self.assertEqual(self.names(service), ["tcp:5", "tcp:6", "127.0.0.1 port 7"])

    def test_refused(self) -> None:
        """What cannot be done is one line that begins with the command."""
        for arguments in (["--listen=nonsense:1"], ["--token-file=missing"], ["--tls-cert=a", "--tls-key=b"]):
            self.assertTrue(self.refused(gateway, *arguments).startswith("anp-gateway: "))
