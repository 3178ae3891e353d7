"""
Tests for L{anp_twisted.http.head}.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import RequestRefused
from anp_twisted.headers import Header
from anp_twisted.http.head import METHODS, Parsed, RequestHead, check_head, explain, oversize_status, valid_host
from anp_twisted.limits import DEFAULT_LIMITS, Limits

HOST = (b"Host", b"a.example")


def parsed(headers: list[Header], target: bytes = b"/", method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> Parsed:
    """
    What the parser would make of such a head.
    """
    lines = [b"%b %b %b" % (method, target, version), *(b"%b: %b" % field for field in headers), b"", b""]
    return Parsed(method, target, headers, b"\r\n".join(lines), True, False)


def check(
    *headers: Header,
    target: bytes = b"/",
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    limits: Limits = DEFAULT_LIMITS,
) -> RequestHead:
    """
    Check a head that came over plain TCP.
    """
    return check_head(parsed(list(headers), target, method, version), secure=False, limits=limits)


class HeadTestCase(SynchronousTestCase):
    """
    Asserts about statuses.
    """

    def assert_refused(self, status: int, *headers: Header, **options: bytes) -> None:
        """
        Such a head is refused with C{status}.
        """
        refused = self.assertRaises(RequestRefused, check, *headers, **options)
        self.assertEqual(refused.status, status, (headers, options))


class RequestLineTests(HeadTestCase):
    """Method, target and version."""

    def test_plain(self) -> None:
        """An ordinary head passes unchanged."""
        head = check(HOST, (b"X", b"1"), (b"x", b"2"), target=b"/a%2Fb;c?d=[e]|\\&d")
        self.assertEqual(head.target, b"/a%2Fb;c?d=[e]|\\&d")
        self.assertEqual(head.headers, [HOST, (b"X", b"1"), (b"x", b"2")])
        self.assertEqual((head.method, head.version, head.host), (b"GET", b"1.1", b"a.example"))
        self.assertEqual((head.content_length, head.has_body, head.expects_continue), (None, False, False))

    def test_methods(self) -> None:
        """Registered methods pass; CONNECT, TRACE and inventions do not."""
        for method in METHODS:
            self.assertEqual(check(HOST, method=method).method, method)
        for method in (b"CONNECT", b"TRACE", b"PURGE", b"M-SEARCH", b"NOTIFY"):
            self.assert_refused(501, HOST, method=method)

    def test_versions(self) -> None:
        """There is 1.1 and 1.0."""
        self.assertEqual(check(version=b"HTTP/1.0").version, b"1.0")
        self.assert_refused(505, HOST, version=b"HTTP/2.0")
        self.assert_refused(400, HOST, version=b"RTSP/1.0")
        self.assert_refused(400, HOST, version=b" HTTP/1.1")

    def test_targets(self) -> None:
        """No fragment, no relative path, no asterisk but with OPTIONS, nothing outside ASCII."""
        for target in (b"a", b"*", b"/a#b", b"/\xc3\xa9", b"/a\x7f", b"ftp://a.example/", b"http:///", b"?"):
            self.assert_refused(400, HOST, target=target)
        self.assertEqual(check(HOST, target=b"//").target, b"//")
        self.assertEqual(check(HOST, target=b"*", method=b"OPTIONS").target, b"*")

    def test_absolute(self) -> None:
        """An absolute-form target is reduced, and its host is the one that counts."""
        head = check((b"Host", b"A.example"), target=b"http://a.Example/b?c")
        self.assertEqual((head.host, head.target), (b"a.Example", b"/b?c"))
        self.assertEqual(check(HOST, target=b"HTTP://a.example?q").target, b"/?q")
        self.assertEqual(check(HOST, target=b"http://a.example", method=b"OPTIONS").target, b"*")
        self.assertEqual(check(target=b"http://a.example/", version=b"HTTP/1.0").host, b"a.example")

    def test_absolute_elsewhere(self) -> None:
        """One that names another host or scheme is for another server."""
        self.assert_refused(421, HOST, target=b"http://b.example/")
        self.assert_refused(421, HOST, target=b"https://a.example/")
        self.assert_refused(400, HOST, target=b"http://u@a.example/")
        self.assert_refused(400, HOST, target=b"http://a.example/#f")
        secure = check_head(parsed([HOST], b"https://a.example/"), secure=True, limits=DEFAULT_LIMITS)
        self.assertEqual(secure.target, b"/")


class HostTests(HeadTestCase):
    """Whom the request is for."""

    def test_good(self) -> None:
        """Names and addresses, with or without a port."""
        for host in (b"a", b"A-1.b_c.example.", b"127.0.0.1:80", b"[::1]", b"[2001:db8::1]:65535", b"a:1", b"a" * 255):
            self.assertTrue(valid_host(host), host)

    def test_bad(self) -> None:
        """Anything that two readers could read differently."""
        bad = b"|a@b|a/b|a b|a:|a:0|a:65536|a:99999|a:1x|<b>|a,b|a:1:2|[::1|::1|[a%25]|a%2eb|.a|-a|\xe9".split(b"|")
        for host in (*bad, b"a" * 300):
            self.assertFalse(valid_host(host), host)
            self.assert_refused(400, (b"Host", host))

    def test_count(self) -> None:
        """Exactly one; HTTP/1.0 may do without."""
        self.assert_refused(400)
        self.assert_refused(400, HOST, HOST)
        self.assert_refused(400, HOST, HOST, version=b"HTTP/1.0")
        self.assertEqual(check(version=b"HTTP/1.0").host, b"")

    def test_absolute_needs_host(self) -> None:
        """An absolute-form target does not replace a missing Host."""
        self.assert_refused(400, target=b"http://a.example/")

    @given(st.binary(max_size=30))
    def test_never_raises(self, host: bytes) -> None:
        """Any bytes are judged, and what passes holds nothing that separates anything."""
        if valid_host(host):
            self.assertFalse(set(host) & set(b'@/\\?#,; \t\r\n\x00%<>"'))


class FieldTests(HeadTestCase):
    """Single fields and their number."""

    def test_underscores(self) -> None:
        """Names with an underscore are dropped: applications take them for hyphens."""
        head = check(HOST, (b"Transfer_Encoding", b"chunked"), (b"Content_Length", b"5"), (b"A", b"b_c"))
        self.assertEqual(head.headers, [HOST, (b"A", b"b_c")])
        self.assertFalse(head.has_body)

    def test_trailing_space(self) -> None:
        """Spaces and tabs behind a value are no part of it."""
        head = check((b"Host", b"a.example \t"), (b"Content-Length", b"3 "), (b"X", b"a b\t"))
        self.assertEqual(head.headers, [HOST, (b"Content-Length", b"3"), (b"X", b"a b")])
        self.assertEqual(head.content_length, 3)

    def test_sizes(self) -> None:
        """Each cap holds to the byte."""
        limits = replace(DEFAULT_LIMITS, target=20, field=30, fields=3, request_head=120)
        at_caps = [HOST, (b"x", b"v" * 29), (b"y", b"")]
        check(*at_caps, target=b"/" + b"t" * 19, limits=limits)
        for status, headers, target in (
            (414, at_caps, b"/" + b"t" * 20),
            (431, [HOST, (b"x", b"v" * 30)], b"/"),
            (431, [*at_caps, (b"z", b"")], b"/"),
            (431, [HOST, (b"x", b"v" * 29), (b"y", b"v" * 29)], b"/" + b"t" * 19),
        ):
            refused = self.assertRaises(RequestRefused, check, *headers, target=target, limits=limits)
            self.assertEqual(refused.status, status, headers)

    def test_oversize(self) -> None:
        """An incomplete head that is too large is blamed on its target or on its fields."""
        self.assertEqual(oversize_status(b"GET /" + b"a" * 20000, DEFAULT_LIMITS), 414)
        self.assertEqual(oversize_status(b"GET / HTTP/1.1\r\n" + b"a" * 20000, DEFAULT_LIMITS), 431)


class BodyTests(HeadTestCase):
    """Where the body ends, and who waits for it."""

    def test_length(self) -> None:
        """A declared length above zero means a body."""
        head = check(HOST, (b"content-LENGTH", b"12"), method=b"DELETE")
        self.assertEqual((head.content_length, head.has_body), (12, True))
        empty = check(HOST, (b"Content-Length", b"0"))
        self.assertEqual((empty.content_length, empty.has_body), (0, False))

    def test_bad_lengths(self) -> None:
        """Malformed and repeated ones are refused; large ones are too large."""
        for value in (b"", b"+1", b"1_0", b"0x5", b"1, 1", b"1 1"):
            self.assert_refused(400, HOST, (b"Content-Length", value))
        self.assert_refused(400, HOST, (b"Content-Length", b"1"), (b"Content-Length", b"1"))
        for large in (b"%d" % (DEFAULT_LIMITS.body + 1), b"1" * 20, b"9" * 5000):
            self.assert_refused(413, HOST, (b"Content-Length", large))
        self.assertTrue(check(HOST, (b"Content-Length", b"%d" % DEFAULT_LIMITS.body)).has_body)

    def test_chunked(self) -> None:
        """Only chunked, once, with HTTP/1.1."""
        head = check(HOST, (b"Transfer-Encoding", b"Chunked"))
        self.assertEqual((head.content_length, head.has_body), (None, True))
        for value in (b"identity", b"gzip, chunked", b"chunked, chunked", b"x"):
            self.assert_refused(501, HOST, (b"Transfer-Encoding", value))
        for value in (b",chunked", b"chunked,", b"", b"chunked;q=1", b"\x0bchunked"):
            self.assert_refused(400, HOST, (b"Transfer-Encoding", value))
        coding = (b"Transfer-Encoding", b"chunked")
        self.assert_refused(400, HOST, coding, coding)
        self.assert_refused(400, coding, version=b"HTTP/1.0")

    def test_expect(self) -> None:
        """100-continue is the one expectation, and HTTP/1.0 has none."""
        self.assertTrue(check(HOST, (b"Expect", b"100-Continue"), (b"Content-Length", b"1")).expects_continue)
        self.assertFalse(check((b"Expect", b"100-continue"), version=b"HTTP/1.0").expects_continue)
        self.assert_refused(417, HOST, (b"Expect", b"200-ok"))

    def test_upgrade(self) -> None:
        """The wanted protocol and the raw head are kept only if an upgrade is possible."""
        fields = [HOST, (b"Upgrade", b"WebSocket")]
        asked = parsed(fields)._replace(upgrade=True)
        head = check_head(asked, secure=False, limits=DEFAULT_LIMITS)
        self.assertEqual((head.upgrade, head.raw), (b"websocket", asked.raw))
        head = check_head(parsed(fields), secure=False, limits=DEFAULT_LIMITS)
        self.assertEqual((head.upgrade, head.raw), (b"", b""))


class ExplainTests(SynchronousTestCase):
    """The statuses of what the parser itself refuses."""

    def test_statuses(self) -> None:
        """400 unless the bytes show a better one."""
        for status, raw in (
            (501, b"get / HTTP/1.1\r\n"),
            (501, b"A" * 40 + b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (501, b"DESCRIBE / HTTP/1.1\r\n"),
            (505, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
            (505, b"GET / HTTP/3.0\r\n"),
            (413, b"PUT / HTTP/1.1\r\nContent-Length: " + b"9" * 20 + b"\r\n\r\n"),
            (400, b"PUT / HTTP/1.1\r\nContent-Length: " + b"9" * 20 + b"\r\nContent-Length: 1\r\n\r\n"),
            (400, b"PUT / HTTP/1.1\r\nContent-Length: " + b"9" * 20 + b"x\r\n\r\n"),
            (400, b"GET / HTTP/1.1\nHost: a\n\n"),
            (400, b"GET /a b HTTP/1.1\r\n"),
            (400, b"\x16\x03\x01\x02\x00"),
            (400, b""),
        ):
            self.assertEqual(explain(raw), status, raw)

    @given(st.binary(max_size=60))
    def test_any_bytes(self, raw: bytes) -> None:
        """Any bytes have a status."""
        self.assertIn(explain(raw), (400, 413, 501, 505))
