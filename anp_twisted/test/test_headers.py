"""
Tests for L{anp_twisted.headers}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import (
    HOP_BY_HOP,
    PROTECTED,
    content_length,
    from_text,
    get_all,
    parse_length,
    strip_hop_by_hop,
    to_text,
    tokens,
    valid_fields,
    valid_name,
    valid_value,
)

headers_of_bytes = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=10)


class GrammarTests(SynchronousTestCase):
    """What a name, a value and a length may be."""

    def test_names(self) -> None:
        """A name is a token, nothing else."""
        for name in (b"Host", b"x-1", b"!#$%&'*+-.^_`|~"):
            self.assertTrue(valid_name(name), name)
        for name in (b"", b"a b", b"a:", b"\xe9", b"a\r", b"a\n", b"(a)", b"a\x00", b'"'):
            self.assertFalse(valid_name(name), name)

    def test_values(self) -> None:
        """A value may hold anything but control characters other than the tab."""
        for code in range(256):
            allowed = code == 9 or (code >= 32 and code != 127)
            self.assertEqual(valid_value(b"a" + bytes([code]) + b"b"), allowed, code)
        self.assertTrue(valid_value(b""))

    def test_lengths(self) -> None:
        """A length is digits only, and leading zeros do not count."""
        for value, length in ((b"0", 0), (b"007", 7), (b"0" * 5000 + b"12", 12), (b"9" * 19, 10**19 - 1)):
            self.assertEqual(parse_length(value), length)

    def test_malformed_lengths(self) -> None:
        """Anything else raises, whatever Python's own int() makes of it."""
        for value in (b"", b" 1", b"+1", b"-1", b"1_0", b"0x1", b"1, 1", b"1.0", b"9" * 20, b"9" * 5000, b"\xb2"):
            self.assertRaises(InvalidMessage, parse_length, value)

    def test_one_length(self) -> None:
        """A block has one length at most, even if two would agree."""
        self.assertIsNone(content_length([(b"A", b"1")]))
        self.assertEqual(content_length([(b"CONTENT-length", b"5")]), 5)
        twice = [(b"Content-Length", b"5"), (b"content-length", b"5")]
        self.assertRaises(InvalidMessage, content_length, twice)


class LookupTests(SynchronousTestCase):
    """Finding fields."""

    def test_get_all(self) -> None:
        """All values of a field are found, whatever the case, in order."""
        headers = [(b"Accept", b"1"), (b"B", b"2"), (b"aCCEPT", b"3")]
        self.assertEqual(get_all(headers, b"accept"), [b"1", b"3"])
        self.assertEqual(get_all(headers, b"c"), [])

    def test_tokens(self) -> None:
        """Lists over several fields are one list; empty members do not count."""
        self.assertEqual(tokens([b"Close, ,\tX-a ", b"b,"]), [b"close", b"x-a", b"b"])


class StripTests(SynchronousTestCase):
    """What concerns one connection is removed, and nothing else."""

    def test_nothing_to_remove(self) -> None:
        """Without such a field the list itself comes back."""
        headers = [(b"Host", b"a"), (b"Accept", b"b")]
        self.assertIs(strip_hop_by_hop(headers), headers)

    def test_every_name(self) -> None:
        """Each known name goes in any case; the rest keeps order, case and duplicates."""
        for name in HOP_BY_HOP:
            headers = [(b"A", b"1"), (name.title(), b"x"), (b"a", b"2"), (name.upper(), b"y"), (b"A", b"1")]
            self.assertEqual(strip_hop_by_hop(headers), [(b"A", b"1"), (b"a", b"2"), (b"A", b"1")])

    def test_nominated(self) -> None:
        """Names that any Connection field lists go as well."""
        headers = [(b"Connection", b"close, X-One"), (b"x-one", b"1"), (b"connection", b"X-Two"), (b"X-TWO", b"2")]
        self.assertEqual(strip_hop_by_hop(headers), [])

    def test_protected(self) -> None:
        """A caller cannot have us drop what others base decisions on."""
        for name in (*PROTECTED, b"x-forwarded-for", b"x-forwarded-anything"):
            kept = [(name, b"v")]
            self.assertEqual(strip_hop_by_hop([(b"Connection", b"close, " + name.upper()), *kept]), kept)

    @given(headers_of_bytes)
    def test_only_removes(self, headers: list[tuple[bytes, bytes]]) -> None:
        """What comes out went in, in the same order, and a second pass changes nothing."""
        stripped = strip_hop_by_hop(headers)
        remaining = iter(headers)
        self.assertTrue(all(field in remaining for field in stripped))
        self.assertEqual(strip_hop_by_hop(stripped), stripped)


class FieldsTests(SynchronousTestCase):
    """All fields at once."""

    @given(st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=3)), max_size=3) | headers_of_bytes)
    def test_as_one_by_one(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer is the one that each field alone would get."""
        self.assertEqual(valid_fields(headers), all(valid_name(name) and valid_value(value) for name, value in headers))


class TextTests(SynchronousTestCase):
    """Pairs of bytes and pairs of text."""

    @given(headers_of_bytes)
    def test_round_trip(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Any bytes survive the way through text."""
        self.assertEqual(from_text(to_text(headers)), headers)

    def test_beyond_latin_1(self) -> None:
        """A character that is no byte raises instead of being replaced."""
        self.assertRaises(UnicodeEncodeError, from_text, [["a", "\u20ac"]])
