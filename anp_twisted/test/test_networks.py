"""Rules of L{anp_twisted.networks}."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.networks import UNIX, Networks, caller_key, canonical, parse_network

ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)


class CanonicalTests(SynchronousTestCase):
    """One spelling for each address."""

    def test_rows(self) -> None:
        """Mapped addresses, zones and long forms lose what is not the address."""
        rows = {
            "192.0.2.1": "192.0.2.1",
            "::ffff:192.0.2.1": "192.0.2.1",
            "::FFFF:c000:201": "192.0.2.1",
            "::ffff:192.0.2.1%eth0": "192.0.2.1",
            "fe80::1%eth0": "fe80::1",
            "2001:DB8:0:0::0001": "2001:db8::1",
            "::1": "::1",
        }
        self.assertEqual({text: canonical(text) for text in rows}, rows)

    def test_none(self) -> None:
        """What is no address has none."""
        for text in ("", "localhost", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4%eth0", "127.1", "0x7f.1", "::1%",
                     "[::1]", "1.2.3.4/32", "1.2.3.4:80", " 1.2.3.4", "\u0661.2.3.4", ":" * 1000):  # fmt: skip
            self.assertIsNone(canonical(text), text)

    @given(ADDRESSES)
    def test_stable(self, address: IPv4Address | IPv6Address) -> None:
        """The canonical form is its own."""
        once = canonical(str(address))
        assert once is not None
        self.assertEqual(canonical(once), once)

    @given(st.text(max_size=40))
    def test_anything(self, text: str) -> None:
        """No text makes it fail."""
        canonical(text)


class NetworksTests(SynchronousTestCase):
    """Sets of networks."""

    def test_parse(self) -> None:
        """A network has one spelling, an address is one of its own."""
        rows = {
            "10.0.0.0/8": "10.0.0.0/8",
            "192.0.2.1": "192.0.2.1/32",
            "2001:DB8::/32": "2001:db8::/32",
            "::ffff:10.0.0.0/104": "10.0.0.0/8",
            "::/0": "::/0",
        }
        self.assertEqual({text: parse_network(text) for text in rows}, rows)
        for text in ("10.0.0.1/8", "10.0.0.0/33", "x", "", "10.0.0.0/-1", "fe80::%eth0/64"):
            self.assertRaises(ValueError, parse_network, text)

    def test_contains(self) -> None:
        """An address is in a set if it is in one of its networks."""
        networks = Networks(["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"])
        for address in ("10.255.0.1", "192.0.2.1", "2001:db8::5"):
            self.assertIn(address, networks)
        for address in ("11.0.0.1", "192.0.2.2", "2001:db9::5", "::a00:1", "", "nonsense"):
            self.assertNotIn(address, networks)

    def test_unix(self) -> None:
        """A UNIX socket has a word of its own."""
        self.assertIn("", Networks([UNIX]))
        self.assertNotIn("127.0.0.1", Networks([UNIX]))

    def test_empty(self) -> None:
        """An empty set holds nothing, and says that it is empty."""
        self.assertFalse(Networks([]))
        self.assertTrue(Networks([UNIX]))
        self.assertTrue(Networks(["0.0.0.0/0"]))
        self.assertNotIn("10.0.0.1", Networks([]))

    @given(st.lists(st.tuples(ADDRESSES, st.integers(0, 32)), max_size=5), ADDRESSES)
    def test_asTheStandardLibrary(
        self, rows: list[tuple[IPv4Address | IPv6Address, int]], address: IPv4Address | IPv6Address
    ) -> None:
        """Membership is that of C{ipaddress}."""
        texts = [str(ip_network(f"{base}/{bits}", strict=False)) for base, bits in rows]
        expected = any(ip_address(str(address)) in ip_network(text) for text in texts)
        self.assertEqual(str(address) in Networks(texts), expected)


class KeyTests(SynchronousTestCase):
    """Under what a caller is counted."""

    def test_rows(self) -> None:
        """IPv4 by address, IPv6 by the /64."""
        self.assertEqual(caller_key("192.0.2.1"), "192.0.2.1")
        self.assertEqual(caller_key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64")
        self.assertEqual(caller_key("2001:db8:1:2::1"), caller_key("2001:db8:1:2:ffff::"))
        self.assertNotEqual(caller_key("2001:db8:1:3::1"), caller_key("2001:db8:1:2::1"))
        self.assertEqual(caller_key(""), "")
