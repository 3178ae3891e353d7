"""Rules of L{anp_twisted.transports.addresses}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.transports.addresses import GatewayAddress, is_loopback, parse_gateway


class ParseTests(SynchronousTestCase):
    """What is a gateway."""

    def test_forms(self) -> None:
        """Port and path have defaults; brackets belong to the URL, not to the host."""
        for text, expected in {
            "ws://127.0.0.1:9877/ws": GatewayAddress(False, "127.0.0.1", 9877, "ws://127.0.0.1:9877/ws"),
            "wss://Gw.Example.org": GatewayAddress(True, "gw.example.org", 443, "wss://gw.example.org:443/ws"),
            "wss://gw.example.org:8443/a/b": GatewayAddress(
                True, "gw.example.org", 8443, "wss://gw.example.org:8443/a/b"
            ),
            "ws://[::1]:8765": GatewayAddress(False, "::1", 8765, "ws://[::1]:8765/ws"),
            "ws://localhost/": GatewayAddress(False, "localhost", 80, "ws://localhost:80/"),
        }.items():
            self.assertEqual(parse_gateway(text), expected)

    def test_refused(self) -> None:
        """Anything else is one clear line."""
        for text in (
            "",
            "gw.example.org:9877",
            "http://127.0.0.1/ws",
            "ws://",
            "ws:///ws",
            "ws://127.0.0.1:99999/ws",
            "ws://127.0.0.1:x/ws",
            "ws://[::1/ws",
            "ws://user@127.0.0.1/ws",
            "ws://127.0.0.1/ws?a=b",
            "ws://127.0.0.1/ws#a",
            "ws://127.0.0.1/w s",
            "ws://127.0.0.1/ws\r\nX: y",
            "ws://b\u00fccher.example/ws",
        ):
            with self.assertRaises(SettingsError, msg=text) as caught:
                parse_gateway(text)
            self.assertEqual(str(caught.exception).count("\n"), 0)

    def test_clear(self) -> None:
        """Without TLS only this machine is dialled, unless somebody insists."""
        for host in ("gw.example.org", "192.0.2.1", "127.1", "0x7f.1", "localhost.example.org"):
            with self.assertRaisesRegex(SettingsError, "--insecure"):
                parse_gateway(f"ws://{host}:9877/ws")
            self.assertFalse(parse_gateway(f"ws://{host}:9877/ws", insecure=True).secure)

    def test_loopback(self) -> None:
        """Loopback is what is certainly this machine."""
        self.assertTrue(all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1"))))
