"""Tests of L{anp_twisted.receiver.target_request}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import Header
from anp_twisted.receiver.target_request import Form, Outline, Upload, outline_of, raw_target
from anp_twisted.targets import OutsideBase, Target

TARGET = Target(False, "127.0.0.1", 3000, base=b"/base")


def scope_of(*headers: Header, method: str = "GET", target: bytes = b"/x", **more: Any) -> dict[str, Any]:
    """A scope as a receiver makes it."""
    path, _, query = target.partition(b"?")
    scope = {"type": "http", "method": method, "raw_path": path, "path": path.decode("latin-1"), "query_string": query}
    return {
        **scope,
        "scheme": "http",
        "client": ("192.0.2.7", 4711),
        "headers": [(b"host", b"a.example"), *headers],
        **more,
    }


class OutlineTests(SynchronousTestCase):
    """From a scope to the bytes of a head."""

    def outline(self, *headers: Header, keep_host: bool = True, **more: Any) -> Outline:
        return outline_of(scope_of(*headers, **more), TARGET, keep_host=keep_host)

    def fields(self, *headers: Header, **more: Any) -> list[tuple[str, str]]:
        lines = self.outline(*headers, **more).head.decode("latin-1").split("\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

    def test_line(self) -> None:
        """The target goes behind the base."""
        self.assertTrue(self.outline(target=b"/a%2Fb?x=1").head.startswith(b"GET /base/a%2Fb?x=1 HTTP/1.1\r\n"))

    def test_raw_target(self) -> None:
        """The gateway's own word is taken, since a question mark alone is lost otherwise."""
        self.assertEqual(raw_target(scope_of(target=b"/a?")), b"/a")
        self.assertEqual(raw_target(scope_of(extensions={"anp": {"target": "/a?"}})), b"/a?")
        self.assertEqual(raw_target(scope_of(raw_path=None, path="/ä", query_string=b"q")), "/ä?q".encode())

    def test_order(self) -> None:
        """Fields keep their order and repetitions; those of the connection go."""
        found = self.fields((b"b", b"1"), (b"a", b"2"), (b"connection", b"x-hop"), (b"x-hop", b"1"), (b"b", b"3"))
        self.assertEqual(found[:4], [("host", "a.example"), ("b", "1"), ("a", "2"), ("b", "3")])

    def test_forwarded(self) -> None:
        """The server is told whom the request is of; what a proxy in front said of it stays."""
        self.assertEqual(
            self.fields()[1:],
            [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "a.example")],
        )
        said = (b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"b")
        found = self.fields(*said)[1:]
        self.assertEqual(
            sorted(found),
            [("x-forwarded-for", "198.51.100.1, 192.0.2.7"), ("x-forwarded-host", "b"), ("x-forwarded-proto", "https")],
        )

    def test_identity(self) -> None:
        """Who the caller has proved to be is in a field that no caller can write."""
        forged = (b"anp-identity", b"did:wba:evil.example")
        self.assertNotIn("anp-identity", dict(self.fields(forged)))
        proved = {"anp": {"identity": {"kind": "did", "name": "did:wba:a.example:b"}}}
        found = [value for name, value in self.fields(forged, extensions=proved) if name == "anp-identity"]
        self.assertEqual(found, ["did:wba:a.example:b"])

    def test_host(self) -> None:
        """C{Host} is the caller's, or the server's own."""
        self.assertEqual([v for n, v in self.fields(keep_host=False) if n == "host"], ["127.0.0.1:3000"])
        self.assertEqual([v for n, v in self.fields(headers=[]) if n == "host"], ["127.0.0.1:3000"])

    def test_bodies(self) -> None:
        """A body is counted where its length is known, else chunked; without one nothing is said."""
        cases = [
            ([], Form.NONE, 0),
            ([(b"content-length", b"0")], Form.COUNTED, 0),
            ([(b"content-length", b"7")], Form.COUNTED, 7),
            ([(b"transfer-encoding", b"chunked")], Form.CHUNKED, 0),
        ]
        for headers, form, length in cases:
            outline = self.outline(*headers, method="POST")
            self.assertEqual((outline.form, outline.length), (form, length))
            self.assertEqual(outline.head.count(b"transfer-encoding: chunked"), form is Form.CHUNKED)

    def test_asks_first(self) -> None:
        """Only who has a body can ask whether it is wanted."""
        expect = (b"expect", b"100-Continue")
        self.assertTrue(self.outline(expect, (b"content-length", b"1")).asks_first)
        self.assertFalse(self.outline(expect).asks_first)

    def test_refused(self) -> None:
        """No tunnel, no echo, nothing outside of the base, nothing that splits a head."""
        for more in ({"method": "CONNECT"}, {"method": "TRACE"}, {"method": "A B"}, {"target": b"/../x"}):
            self.assertRaises(OutsideBase, self.outline, **more)
        for header in ((b"a\r\nb", b"1"), (b"a", b"1\r\nb: 2"), (b"", b"1")):
            self.assertRaises(InvalidMessage, self.outline, header)


class UploadTests(SynchronousTestCase):
    """The body."""

    def test_counted(self) -> None:
        """It has to be as long as it was said to be."""
        upload = Upload(Form.COUNTED, 3)
        self.assertEqual((upload.piece(b"ab", False), upload.piece(b"c", True)), (b"ab", b"c"))
        self.assertRaises(InvalidMessage, Upload(Form.COUNTED, 3).piece, b"abcd", False)
        self.assertRaises(InvalidMessage, Upload(Form.COUNTED, 3).piece, b"ab", True)
        self.assertRaises(InvalidMessage, Upload(Form.NONE).piece, b"a", True)

    def test_chunked(self) -> None:
        """Each piece is a chunk, and none is empty but the last."""
        upload = Upload(Form.CHUNKED)
        pieces = [upload.piece(b"x" * 17, False), upload.piece(b"", False), upload.piece(b"y", True)]
        self.assertEqual(pieces, [b"11\r\n" + b"x" * 17 + b"\r\n", b"", b"1\r\ny\r\n0\r\n\r\n"])
        self.assertEqual(Upload(Form.CHUNKED).piece(b"", True), b"0\r\n\r\n")
