"""Rules of L{anp_twisted.gateway.callers}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.callers import Caller, TrustedProxies
from anp_twisted.gateway.forwarded import MalformedClaim
from anp_twisted.headers import Header
from anp_twisted.http.head import valid_host
from anp_twisted.networks import Networks

PEER = ("10.0.0.1", 5000)
CUSTOM = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id")


def proxies(*fields: str) -> TrustedProxies:
    """Trust 10.0.0.0/8 and UNIX sockets."""
    return TrustedProxies(Networks(["10.0.0.0/8", "unix"]), fields or CUSTOM, valid_host=valid_host)


def xff(value: bytes) -> list[Header]:
    """The field of that value."""
    return [(b"X-Forwarded-For", value)]


class ChainTests(SynchronousTestCase):
    """From hop to hop."""

    def address(self, value: bytes, peer: tuple[str, int] = PEER) -> str | None:
        """Who calls, by C{X-Forwarded-For}."""
        caller = proxies().caller(peer, xff(value))
        return None if caller is None else caller.address

    def test_rows(self) -> None:
        """The last hop that no trusted proxy vouches for is the caller."""
        rows = {
            b"192.0.2.1": "192.0.2.1",
            b"6.6.6.6, 192.0.2.1": "192.0.2.1",
            b"192.0.2.1, 10.9.9.9": "192.0.2.1",
            b"6.6.6.6, 192.0.2.1, 10.1.1.1, 10.2.2.2": "192.0.2.1",
            b"10.1.1.1, 192.0.2.1": "192.0.2.1",
            b"10.1.1.1, 10.2.2.2": "10.1.1.1",
            b"2001:db8::7": "2001:db8::7",
            b"::ffff:192.0.2.1": "192.0.2.1",
            b"192.0.2.1, ::ffff:10.1.1.1": "192.0.2.1",
            b"192.0.2.1, unknown": "10.0.0.1",
            b"192.0.2.1, unknown, 10.1.1.1": "10.1.1.1",
            b"<garbage>, 192.0.2.1": "192.0.2.1",
        }
        self.assertEqual({value: self.address(value) for value in rows}, rows)

    def test_untrusted(self) -> None:
        """Who is no proxy is the caller, whatever he says."""
        self.assertIsNone(self.address(b"192.0.2.1", ("192.0.2.99", 1)))

    def test_unix(self) -> None:
        """A proxy on a UNIX socket has no address and is trusted if the operator says so."""
        self.assertEqual(self.address(b"192.0.2.1", ("", 0)), "192.0.2.1")
        strict = TrustedProxies(Networks(["10.0.0.0/8"]), CUSTOM, valid_host=valid_host)
        self.assertIsNone(strict.caller(("", 0), xff(b"192.0.2.1")))

    def test_silent(self) -> None:
        """A proxy that says nothing is the caller itself."""
        self.assertEqual(proxies().caller(PEER, []), Caller("10.0.0.1", 5000, None, None))
        self.assertEqual(proxies("forwarded").caller(PEER, []), Caller("10.0.0.1", 5000, None, None))

    def test_malformed(self) -> None:
        """What a trusted proxy itself wrote must be readable."""
        for value in (b"", b"nonsense", b"192.0.2.1,", b"192.0.2.1, 10.1.1.1:x"):
            self.assertRaises(MalformedClaim, self.address, value)

    @given(st.lists(st.text("abc,.:;= \"'", max_size=12), max_size=5), st.ip_addresses(v=4))
    def test_forged(self, forged: list[str], real: object) -> None:
        """Whatever a caller writes, the address the proxy saw is what counts."""
        address = str(real)
        if address.startswith("10."):
            return
        value = ", ".join([*forged, address]).encode()
        self.assertEqual(self.address(value), address)


class SchemeAndHostTests(SynchronousTestCase):
    """What the caller spoke, and whom it meant."""

    def test_custom(self) -> None:
        """Scheme and host come from the proxy next to the caller."""
        headers = [*xff(b"192.0.2.1:77"), (b"X-Forwarded-Proto", b"HTTPS"), (b"X-Forwarded-Host", b"shop.example")]
        self.assertEqual(proxies().caller(PEER, headers), Caller("192.0.2.1", 77, b"https", b"shop.example"))

    def test_place(self) -> None:
        """Of several values the one of that proxy is taken, never one the caller put before it."""
        rows = [
            (b"192.0.2.1", b"http, https", b"https"),
            (b"192.0.2.1, 10.1.1.1", b"https, http", b"https"),
            (b"192.0.2.1, 10.1.1.1", b"http, https, http", b"https"),
            (b"192.0.2.1, 10.1.1.1", b"https", b"https"),
            (b"6.6.6.6, 192.0.2.1", b"https, http", b"http"),
        ]
        for hops, schemes, expected in rows:
            caller = proxies().caller(PEER, [*xff(hops), (b"X-Forwarded-Proto", schemes)])
            assert caller is not None
            self.assertEqual(caller.scheme, expected, (hops, schemes))

    def test_webSocket(self) -> None:
        """Proxies that name the WebSocket schemes mean the same."""
        for given_, expected in ((b"ws", b"http"), (b"wss", b"https")):
            caller = proxies().caller(PEER, [(b"X-Forwarded-Proto", given_)])
            assert caller is not None
            self.assertEqual(caller.scheme, expected)

    def test_malformed(self) -> None:
        """A scheme or host that is none is refused."""
        for name, value in ((b"X-Forwarded-Proto", b"gopher"), (b"X-Forwarded-Proto", b""),
                            (b"X-Forwarded-Host", b"a b"), (b"X-Forwarded-Host", b"evil@shop.example"),
                            (b"X-Forwarded-Host", b"")):  # fmt: skip
            with self.assertRaises(MalformedClaim):
                proxies().caller(PEER, [(name, value)])

    def test_standard(self) -> None:
        """C{Forwarded} says it all in the element of the proxy next to the caller."""
        value = b'for=6.6.6.6;host=evil.example, for="192.0.2.1:9";proto=https;host="shop.example:8443", for=10.1.1.1'
        caller = proxies("forwarded").caller(PEER, [(b"Forwarded", value)])
        self.assertEqual(caller, Caller("192.0.2.1", 9, b"https", b"shop.example:8443"))

    def test_hiddenCaller(self) -> None:
        """A caller whom the proxy hides has the proxy's address, and its own scheme and host."""
        caller = proxies("forwarded").caller(PEER, [(b"Forwarded", b"for=unknown;proto=https;host=shop.example")])
        self.assertEqual(caller, Caller("10.0.0.1", 5000, b"https", b"shop.example"))

    def test_onlyTheNamed(self) -> None:
        """A field that the proxy does not set is not believed, since the caller may have."""
        headers = [*xff(b"192.0.2.1"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil.example"),
                   (b"Forwarded", b"for=6.6.6.6;host=evil.example")]  # fmt: skip
        self.assertEqual(proxies("x-forwarded-for").caller(PEER, headers), Caller("192.0.2.1", 0, None, None))
        self.assertEqual(proxies("forwarded").caller(PEER, headers[:3]), Caller("10.0.0.1", 5000, None, None))


class RequestIdTests(SynchronousTestCase):
    """The id of a request."""

    def given(self, *values: bytes, peer: tuple[str, int] = PEER, fields: tuple[str, ...] = CUSTOM) -> str | None:
        """What is taken of these fields."""
        return proxies(*fields).request_id(peer, [(b"X-Request-Id", value) for value in values])

    def test_taken(self) -> None:
        """From a trusted proxy, if it could stand in a log."""
        for value in (b"a", b"7b1c9a34-5b52-4ef0-9a0e-4cf5d8e4b0f1", b"Root=1-67891233-abc;x,y", b"x" * 80):
            self.assertEqual(self.given(value), value.decode())

    def test_notTaken(self) -> None:
        """From nobody else, and nothing else."""
        for value in (b"", b"x" * 81, b"a b", b"a\tb", b'a"b', b"\xe9", b"<b>", b"a\\b", b"a%0a"):
            self.assertIsNone(self.given(value), value)
        self.assertIsNone(self.given(b"a", b"b"))
        self.assertIsNone(self.given())
        self.assertIsNone(self.given(b"a", peer=("192.0.2.1", 1)))
        self.assertIsNone(self.given(b"a", fields=("x-forwarded-for",)))
