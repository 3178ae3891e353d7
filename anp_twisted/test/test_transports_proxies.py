"""Tests for L{anp_twisted.transports.proxies}."""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.transports.addresses import parse_gateway
from anp_twisted.transports.proxies import ProxyAddress, excepted, parse_proxy, proxy_of

SECURE = parse_gateway("wss://gw.example.org/ws")
CLEAR = parse_gateway("ws://gw.example.org/ws", insecure=True)


class ParseTests(SynchronousTestCase):
    """What is a proxy."""

    def test_forms(self) -> None:
        """The scheme may be left out, the port too."""
        for text, expected in {
            "http://proxy.example:3128": ProxyAddress("proxy.example", 3128),
            "http://proxy.example/": ProxyAddress("proxy.example", 80),
            "proxy.example:3128": ProxyAddress("proxy.example", 3128),
            "http://[2001:db8::1]:3128": ProxyAddress("2001:db8::1", 3128),
        }.items():
            self.assertEqual(parse_proxy(text, "the proxy"), expected)

    def test_credentials(self) -> None:
        """They become a header field, decoded, and are not shown."""
        proxy = parse_proxy("http://me:p%40ss:word@proxy.example:3128", "the proxy")
        kind, _, value = proxy.authorization.partition(" ")
        self.assertEqual((kind, b64decode(value)), ("Basic", b"me:p@ss:word"))
        self.assertNotIn(value, repr(proxy))

    def test_refused(self) -> None:
        """Whatever else, in one line that does not repeat it."""
        for text in (
            "https://me:hunter2@proxy.example",
            "socks5://me:hunter2@proxy.example",
            "http://me:hunter2@proxy.example:99999",
            "http://me:hunter2@",
            "http://me:hunter2@proxy.example/path",
            "http://me:hunter2@proxy.example:80\r\nX: y",
            "http://me:hunter2@pr\u00f6xy.example",
        ):
            with self.assertRaises(SettingsError, msg=text) as caught:
                parse_proxy(text, "HTTPS_PROXY")
            line = str(caught.exception)
            self.assertTrue(line.startswith("HTTPS_PROXY ") and "\n" not in line and "hunter2" not in line, line)


class ChoiceTests(SynchronousTestCase):
    """Which proxy, if any."""

    def test_named(self) -> None:
        """The setting goes before the environment, even for this machine."""
        environment = {"HTTPS_PROXY": "http://env.example", "NO_PROXY": "*"}
        here = parse_gateway("ws://127.0.0.1:1/ws")
        for gateway in (SECURE, CLEAR, here):
            self.assertEqual(proxy_of(gateway, "http://set.example", environment), ProxyAddress("set.example", 80))
            self.assertIsNone(proxy_of(gateway, "off", environment))

    def test_environment(self) -> None:
        """Each scheme has its variable, and there is one for both; lower case goes first."""
        for gateway, environment, host in [
            (SECURE, {"HTTPS_PROXY": "http://a.example", "HTTP_PROXY": "http://b.example"}, "a.example"),
            (CLEAR, {"HTTPS_PROXY": "http://a.example", "HTTP_PROXY": "http://b.example"}, "b.example"),
            (SECURE, {"ALL_PROXY": "http://c.example"}, "c.example"),
            (SECURE, {"ALL_PROXY": "http://c.example", "HTTPS_PROXY": "http://a.example"}, "a.example"),
            (SECURE, {"https_proxy": "http://d.example", "HTTPS_PROXY": "http://a.example"}, "d.example"),
            (SECURE, {"https_proxy": "", "HTTPS_PROXY": "http://a.example"}, None),
            (SECURE, {"HTTP_PROXY": "http://b.example"}, None),
            (SECURE, {}, None),
        ]:
            found = proxy_of(gateway, None, environment)
            self.assertEqual(found.host if found else None, host, environment)

    def test_this_machine(self) -> None:
        """The proxy of the environment is not asked for a gateway on this machine."""
        for url in ("ws://127.0.0.1:9877/ws", "ws://localhost:9877/ws", "ws://[::1]:9877/ws"):
            self.assertIsNone(proxy_of(parse_gateway(url), None, {"ALL_PROXY": "http://c.example"}))

    def test_mistake(self) -> None:
        """A variable that cannot be used is named."""
        with self.assertRaisesRegex(SettingsError, "^https_proxy "):
            proxy_of(SECURE, None, {"https_proxy": "socks5://c.example"})

    def test_exceptions(self) -> None:
        """Names with what is below them, addresses, networks, ports."""
        for url, entries, expected in [
            ("wss://gw.example.org", "example.org", True),
            ("wss://gw.example.org", ".example.org", True),
            ("wss://gw.example.org", "*.example.org", True),
            ("wss://gw.example.org", "GW.Example.ORG", True),
            ("wss://gw.example.org", "ample.org", False),
            ("wss://gw.example.org", "other.org, *", True),
            ("wss://gw.example.org", "a b example.org", True),
            ("wss://gw.example.org:8443", "gw.example.org:8443", True),
            ("wss://gw.example.org", "gw.example.org:8443", False),
            ("wss://10.1.2.3", "10.0.0.0/8", True),
            ("wss://10.1.2.3", "10.1.2.3", True),
            ("wss://10.1.2.3", "10.1.2.4", False),
            ("wss://[2001:db8::1]", "2001:db8::/32", True),
            ("wss://[2001:db8::1]", "[2001:db8::1]", True),
            ("wss://gw.example.org", "", False),
            ("wss://gw.example.org", ",. ,[,:,*:x", False),
        ]:
            self.assertEqual(excepted(parse_gateway(url), entries), expected, (url, entries))
        self.assertIsNone(proxy_of(SECURE, None, {"ALL_PROXY": "http://c.example", "no_proxy": "example.org"}))
