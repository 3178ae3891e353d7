"""
Tests for L{anp_twisted.transports.deflate}: which offers are taken, and that the parts make the whole.
"""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.transports.deflate import Deflate


class AgreeTests(SynchronousTestCase):
    """Offers."""

    def test_taken(self) -> None:
        """With windows of 4 KiB where the caller lets us choose them."""
        rows = [
            (b"permessage-deflate", b"permessage-deflate"),
            (
                b"permessage-deflate; client_max_window_bits",
                b"permessage-deflate; client_max_window_bits=12",
            ),
            (
                b"foo, Permessage-Deflate; server_no_context_takeover; server_max_window_bits=10",
                b"permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
            ),
            (b"permessage-deflate; nonsense, permessage-deflate", b"permessage-deflate"),
            (b'permessage-deflate; server_max_window_bits="12"', b"permessage-deflate; server_max_window_bits=12"),
        ]
        for offered, expected in rows:
            agreed = Deflate.agree(offered)
            assert agreed is not None, offered
            self.assertEqual(agreed.answer, expected)

    def test_declined(self) -> None:
        """Anything else; nothing of it is an error."""
        for offered in (
            b"x-webkit-deflate-frame",
            b"permessage-deflate; server_max_window_bits",
            b"permessage-deflate; server_max_window_bits=7",
            b"permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            b"permessage-bzip2",
            b";,=;",
            b"x, " * 8 + b"permessage-deflate",
        ):
            self.assertIsNone(Deflate.agree(offered), offered)


class CompressTests(SynchronousTestCase):
    """Messages."""

    @given(st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=5), max_size=5), st.booleans())
    def test_parts(self, messages: list[list[bytes]], forgetful: bool) -> None:
        """However a message is cut, what comes out inflates to it, with the memory of earlier ones and without."""
        more = b"; server_no_context_takeover" if forgetful else b""
        agreed = Deflate.agree(b"permessage-deflate" + more)
        assert agreed is not None
        inflate = zlib.decompressobj(-12)
        for parts in messages:
            last = len(parts) - 1
            sent = b"".join(
                agreed.compress(part, begins=number == 0, ends=number == last) for number, part in enumerate(parts)
            )
            if forgetful:
                inflate = zlib.decompressobj(-12)
            assert inflate.decompress(sent + b"\x00\x00\xff\xff") == b"".join(parts)
