"""Rules of L{anp_twisted.gateway.forwarded}."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.forwarded import Element, MalformedClaim, Node, parse_forwarded, parse_node, split_list

HIDDEN = Node(None, 0)


class NodeTests(SynchronousTestCase):
    """One hop."""

    def test_rows(self) -> None:
        """Addresses in every form that proxies write, and those who do not tell."""
        rows = {
            "192.0.2.1": Node("192.0.2.1", 0),
            "192.0.2.1:4711": Node("192.0.2.1", 4711),
            "2001:db8::1": Node("2001:db8::1", 0),
            "[2001:db8::1]": Node("2001:db8::1", 0),
            "[2001:DB8::1]:443": Node("2001:db8::1", 443),
            "[fe80::1%eth0]:1": Node("fe80::1", 1),
            "::ffff:192.0.2.1": Node("192.0.2.1", 0),
            "192.0.2.1:_port": Node("192.0.2.1", 0),
            "unknown": HIDDEN,
            "Unknown:80": HIDDEN,
            "_hidden": HIDDEN,
            "_SEVKISEK:_x": HIDDEN,
        }
        self.assertEqual({text: parse_node(text) for text in rows}, rows)

    def test_refused(self) -> None:
        """Nothing else."""
        for text in ("", "host", "192.0.2.1:99999", "192.0.2.1:", "192.0.2", "[192.0.2.1]", "2001:db8::1:", "[::1",
                     "::1]", "[::1]x", "192.0.2.1, x", "192.0.2.1 ", "<b>", "[unknown]", "1.2.3.4:-1"):  # fmt: skip
            self.assertRaises(MalformedClaim, parse_node, text)

    @given(st.text(max_size=30))
    def test_anything(self, text: str) -> None:
        """Whatever comes, it is a hop or malformed."""
        with contextlib.suppress(MalformedClaim):
            parse_node(text)


class ListTests(SynchronousTestCase):
    """C{X-Forwarded-*}."""

    def test_split(self) -> None:
        """Several lines are one list; what is empty stays, so that no place is lost."""
        self.assertEqual(split_list([b"a, b", b" c ,,d"]), [b"a", b"b", b"c", b"", b"d"])
        self.assertEqual(split_list([]), [])


class ForwardedTests(SynchronousTestCase):
    """C{Forwarded}."""

    def test_examples(self) -> None:
        """The examples of RFC 7239."""
        rows: list[tuple[list[bytes], list[Element]]] = [
            ([b'for="_gazonk"'], [Element(HIDDEN, None, None)]),
            ([b'For="[2001:db8:cafe::17]:4711"'], [Element(Node("2001:db8:cafe::17", 4711), None, None)]),
            ([b"for=192.0.2.60;proto=http;by=203.0.113.43"], [Element(Node("192.0.2.60", 0), b"http", None)]),
            (
                [b"for=192.0.2.43, for=198.51.100.17"],
                [Element(Node("192.0.2.43", 0), None, None), Element(Node("198.51.100.17", 0), None, None)],
            ),
            (
                [b"for=192.0.2.43", b'for="[2001:db8:cafe::17]",for=unknown'],
                [
                    Element(Node("192.0.2.43", 0), None, None),
                    Element(Node("2001:db8:cafe::17", 0), None, None),
                    Element(HIDDEN, None, None),
                ],
            ),
            ([b"host=example.com;proto=https"], [Element(HIDDEN, b"https", b"example.com")]),
            ([b'for=192.0.2.1;host="a\\"b"'], [Element(Node("192.0.2.1", 0), None, b'a"b')]),
            ([b" ; for=192.0.2.1 ;; proto=http ; , ,"], [Element(Node("192.0.2.1", 0), b"http", None)]),
            ([b""], []),
        ]
        for values, elements in rows:
            self.assertEqual(parse_forwarded(values), elements, values)

    def test_refused(self) -> None:
        """What is not as the RFC has it, is not read in part."""
        for value in (b"for", b"for=", b"=x", b'for="192.0.2.1', b"for=192.0.2.1 proto=http",
                      b"for=1.1.1.1;for=2.2.2.2", b'for="1.1.1.1"x', b"for=[::1]", b"for = 1.1.1.1",
                      b"for=1.1.1.1;proto", b"for=\xe9", b"for=nonsense", b'for="1.1.1.1\x01"'):  # fmt: skip
            self.assertRaises(MalformedClaim, parse_forwarded, [value])

    def test_openQuotation(self) -> None:
        """A caller who leaves a quotation open cannot swallow what a proxy puts behind it."""
        for caller in (b'for="x', b'for=6.6.6.6;x="', b'"', b'for=6.6.6.6;x="\\', b'for="6.6.6.6", for="'):
            for proxy in (b"for=192.0.2.1", b'for="[2001:db8::1]"', b'for=192.0.2.1;host="h"', b'for="192.0.2.1:80"'):
                self.assertRaises(MalformedClaim, parse_forwarded, [caller + b", " + proxy])

    @given(st.lists(st.text('for=;,"\\ \t[]:._1a%', max_size=40).map(str.encode), max_size=3))
    def test_anything(self, values: list[bytes]) -> None:
        """Whatever comes, it is read or malformed."""
        with contextlib.suppress(MalformedClaim):
            parse_forwarded(values)

    @given(st.lists(st.tuples(st.ip_addresses(), st.integers(1, 65535), st.booleans()), max_size=5))
    def test_roundTrip(self, hops: list[tuple[object, int, bool]]) -> None:
        """What a proxy wrote by the RFC is what is read."""
        texts = [f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}" for host, port, _ in hops]
        elements = [
            f'for="{text}"' + (";proto=https" if tls else "") for text, (_, _, tls) in zip(texts, hops, strict=True)
        ]
        read = parse_forwarded([", ".join(elements).encode()])
        self.assertEqual([(node.seen, node.scheme == b"https") for node in read],
                         [(parse_node(text), tls) for text, (_, _, tls) in zip(texts, hops, strict=True)])  # fmt: skip
