"""Rules of L{anp_twisted.wire.v1heads}."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameTooLarge, HeadError
from anp_twisted.test.frames import PROPERTY
from anp_twisted.wire import v1heads
from anp_twisted.wire.heads import Pairs, RequestHead, ResponseHead

MOST = 2**20


def read(meta: dict[str, object]) -> RequestHead:
    """Read a request of another peer."""
    return v1heads.decode_request(json.dumps(meta).encode(), MOST, 128)


def target(path: str, query: dict[str, str] | None = None) -> str:
    """What becomes of path and query."""
    return read({"method": "GET", "path": path, "headers": {}, "query": query or {}}).target


class JoinedTests(SynchronousTestCase):
    """Fields in a mapping."""

    def test_lists(self) -> None:
        """Values of a list are joined under the first spelling, cookies in their own way."""
        fields, lost = v1heads.joined(
            [("Accept", "a"), ("X", "1"), ("accept", "b"), ("cookie", "c=1"), ("Cookie", "d=2")]
        )
        self.assertEqual(fields, {"Accept": "a, b", "X": "1", "cookie": "c=1; d=2"})
        self.assertEqual(lost, 0)

    def test_losses(self) -> None:
        """What is no list keeps its last value, and the others are counted."""
        fields, lost = v1heads.joined([("Set-Cookie", "a"), ("set-cookie", "b"), ("Set-Cookie", "c")])
        self.assertEqual((fields, lost), ({"Set-Cookie": "c"}, 2))


class RequestTests(SynchronousTestCase):
    """Metadata of requests."""

    def test_published(self) -> None:
        """A peer that knows the published text alone finds method, path, fields and query."""
        head = RequestHead("POST", "/a/b?x=1&y=%20+&x=2", [("Host", "h"), ("Accept", "a"), ("Accept", "b")])
        data, lost = v1heads.encode_request(head)
        meta = json.loads(data)
        self.assertEqual((meta["method"], meta["path"]), ("POST", "/a/b"))
        self.assertEqual(meta["headers"], {"Host": "h", "Accept": "a, b"})
        self.assertEqual(meta["query"], {"x": "2", "y": "  "})
        self.assertEqual(lost, 1)

    def test_absolute(self) -> None:
        """Of an absolute-form target the path is left."""
        meta = json.loads(v1heads.encode_request(RequestHead("GET", "http://h:1/p?q=1", []))[0])
        self.assertEqual((meta["path"], meta["query"]), ("/p", {"q": "1"}))

    def test_not_utf8(self) -> None:
        """A query of any bytes gives JSON."""
        meta = json.loads(v1heads.encode_request(RequestHead("GET", "/?a=%ff", []))[0])
        self.assertEqual(meta["query"], {"a": "\xff"})

    @given(
        st.lists(
            st.tuples(st.sampled_from(["A", "a", "Set-Cookie", "Cookie", "X-\xff"]), st.text("a,;\xe9", max_size=5))
        )
    )
    @PROPERTY
    def test_exact(self, pairs: Pairs) -> None:
        """Between peers of this project every field, the raw target and all else arrives as it was."""
        head = RequestHead("GET", "/a%2Fb?x=1&x=2&&y", pairs, "https", "1.0", ("192.0.2.1", 5), "id", 1.5)
        data, _ = v1heads.encode_request(head)
        self.assertEqual(v1heads.decode_request(data, MOST, 1000), head)

    def test_targets(self) -> None:
        """Path and query of other peers become a target, however they are written."""
        self.assertEqual(target("/a b/\xe9?"), "/a%20b/%C3%A9?")
        self.assertEqual(target("/a%20b"), "/a%20b")
        self.assertEqual(target("a"), "/a")
        self.assertEqual(target("*"), "*")
        self.assertEqual(target("/a", {"x": "1 2", "\xe9": "&"}), "/a?x=1+2&%C3%A9=%26")
        self.assertEqual(target("/a?x=1&x=2", {"x": "2"}), "/a?x=1&x=2")
        self.assertEqual(target("/a#b?c#d"), "/a%23b?c%23d")

    def test_fields(self) -> None:
        """Text above latin-1 becomes bytes of UTF-8; what concerns another connection is left out."""
        head = read({"method": "GET", "path": "/", "headers": {"X": "\u20ac", "Transfer-Encoding": "chunked"}})
        self.assertEqual(head.headers, [("X", "\xe2\x82\xac")])

    def test_strange_extra(self) -> None:
        """Another peer may use our key for something else."""
        for extra in ({"method": 1}, "text", 7, None):
            head = read({"method": "GET", "path": "/a", v1heads.EXACT: extra})
            self.assertEqual((head.method, head.target), ("GET", "/a"))

    def test_no_websocket(self) -> None:
        """A request for a WebSocket cannot come this way."""
        extra = {"method": "GET", "target": "/", "headers": [], "protocol": "websocket"}
        self.assertEqual(read({"method": "GET", "path": "/", v1heads.EXACT: extra}).protocol, "")

    def test_refused(self) -> None:
        """Malformed metadata, and more of it than allowed."""
        for wrong in ({}, {"method": "G T", "path": "/"}, {"method": "GET", "path": "/", "headers": {"a": ["b"]}}):
            self.assertRaises(HeadError, read, wrong)
        self.assertRaises(HeadError, v1heads.decode_request, b"{", MOST, 128)
        self.assertRaises(HeadError, v1heads.decode_request, b"[" * 100_000, MOST, 128)
        many = {str(number): "" for number in range(129)}
        self.assertRaises(FrameTooLarge, read, {"method": "GET", "path": "/", "headers": many})
        self.assertRaises(FrameTooLarge, v1heads.decode_request, b" " * 100, 99, 128)


class ResponseTests(SynchronousTestCase):
    """Metadata of responses."""

    def test_published(self) -> None:
        """A peer finds status, reason and fields."""
        data, lost = v1heads.encode_response(
            ResponseHead(201, [("A", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]), "Created"
        )
        meta = json.loads(data)
        self.assertEqual((meta["status"], meta["reason"]), (201, "Created"))
        self.assertEqual(meta["headers"], {"A": "1", "Set-Cookie": "b"})
        self.assertEqual(lost, 1)
        self.assertEqual(v1heads.decode_response(data, MOST, 9).headers[1:], [("Set-Cookie", "a"), ("Set-Cookie", "b")])

    def test_plain(self) -> None:
        """Without fields, as the published text has it."""
        self.assertEqual(v1heads.decode_response(b'{"status":404,"reason":"x"}', MOST, 9), ResponseHead(404, []))

    def test_refused(self) -> None:
        """An informational one is no answer, whoever says so."""
        for wrong in (
            b'{"status":101}',
            b'{"status":"200"}',
            b'{"status":200.5}',
            b'{"status":200,"anpx.2":{"status":100,"headers":[]}}',
        ):
            self.assertRaises(HeadError, v1heads.decode_response, wrong, MOST, 9)
