"""
Requests that a public port must refuse, or take in exactly one way.

Every row is sent with another request behind it, so that a reader who is mistaken about where the row ends is caught.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from anp_twisted.limits import DEFAULT_LIMITS, KIB, MIB

BODY_LIMIT = 1 * MIB
"""What the gateways of these tests let through, so that a body over it is soon sent."""

HOST = b"Host: a"


@dataclass(frozen=True)
class Row:
    """
    One case.

    @ivar group: the row of the threat table it belongs to.
    @ivar sent: the bytes.
    @ivar statuses: the answers to it; the last one ends the connection if it is an error.
    @ivar seen: method, target and body of the requests that reach the application completely.
    @ivar begun: requests that reach it and break off.
    """

    group: str
    name: str
    sent: bytes
    statuses: tuple[int, ...]
    seen: tuple[tuple[bytes, bytes, bytes], ...] = ()
    begun: int = 0

    @property
    def taken(self) -> bool:
        """Whether it is a good request, or several."""
        return max(self.statuses) < 300


def head(*lines: bytes, start: bytes = b"GET /x HTTP/1.1", host: bytes = HOST) -> bytes:
    """A request head."""
    return b"\r\n".join([start, *([host] if host else []), *lines, b"", b""])


def post(*lines: bytes) -> bytes:
    """The head of a POST."""
    return head(*lines, start=b"POST /x HTTP/1.1")


def shown(data: bytes) -> str:
    """A short name for bytes."""
    text = data.decode("latin-1").encode("unicode_escape").decode()
    return text if len(text) <= 40 else f"{text[:30]}… ({len(data)} bytes)"


def refused(group: str, status: int, cases: Iterable[bytes], begun: int = 0) -> Iterator[Row]:
    """Rows that are answered with one status."""
    for sent in cases:
        name = shown(sent.replace(b"\r\nHost: a\r\n", b"|").removesuffix(b"\r\n\r\n"))
        yield Row(group, name, sent, (status,), begun=begun)


def taken(group: str, sent: bytes, *seen: tuple[bytes, bytes, bytes]) -> Row:
    """A row of good requests."""
    return Row(group, shown(sent), sent, (200,) * len(seen), seen)


def _lengths() -> Iterator[Row]:
    body = b"abcde"
    bad = b"+5|-5|0x5|5_0||5,5|5, 5|1, 1|5 5|5;|5.0|5e1|\xd9\xa5|five|5\x0b|'5'|,5|5,".split(b"|")
    yield from refused("framing", 400, [post(b"Content-Length: " + value) + body for value in bad])
    large = [b"1" * 20, b"9" * 400, b"9" * 5000, b"%d" % (BODY_LIMIT + 1), b"9223372036854775807"]
    yield from refused("framing", 413, [post(b"Content-Length: " + value) + body for value in large])
    for pair in ((b"5", b"5"), (b"5", b"6"), (b"0", b"5")):
        lines = [b"Content-Length: " + value for value in pair]
        yield from refused("framing", 400, [post(*lines) + body, post(lines[0], lines[1].lower()) + body])
    both = [b"Content-Length: 5", b"Transfer-Encoding: chunked"]
    chunked = b"5\r\nabcde\r\n0\r\n\r\n"
    yield from refused("framing", 400, [post(*both) + chunked, post(*reversed(both)) + chunked])
    yield from refused("framing", 400, [post(b"Content-Length: 28", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"])
    yield taken("framing", post(b"Content-Length: 5 \t") + body, (b"POST", b"/x", body))
    yield taken("framing", post(b"Content-Length:5") + body, (b"POST", b"/x", body))
    yield taken("framing", post(b"Content-Length: 00005") + body, (b"POST", b"/x", body))
    yield taken("framing", post(b"Content-Length: 0"), (b"POST", b"/x", b""))
    yield taken("framing", post(), (b"POST", b"/x", b""))
    inner = head(start=b"GET /inner HTTP/1.1")
    yield taken("framing", post(b"Content-Length: %d" % len(inner)) + inner, (b"POST", b"/x", inner))
    yield taken(
        "framing",
        head(b"Content-Length: %d" % len(inner)) + inner * 2,
        (b"GET", b"/x", inner),
        (b"GET", b"/inner", b""),
    )


def _chunks() -> Iterator[Row]:
    start = post(b"Transfer-Encoding: chunked")
    sizes = b"+5|-5|0x5| 5|5 |\t5|5\t|5 ;a=b|G||;a|5_|00000000000000005|1" + b"0" * 16 + b"|5\x00|5;\x00a|5;a\x7f"
    yield from refused("framing", 400, [start + s + b"\r\nabcde\r\n0\r\n\r\n" for s in sizes.split(b"|")], 1)
    broken = [
        *(b"5\nabcde\r\n0\r\n\r\n", b"5\r\nabcde\n0\r\n\r\n", b"5\r\nabcde\r\n0\n\r\n", b"5\r\nabcde\r\n0\r\n\n"),
        *(b"5\rabcde\r\n0\r\n\r\n", b"5\r\nabcdeX\r\n0\r\n\r\n", b"5\r\nabcdef\r\n0\r\n\r\n", b"5\r\nabcde0\r\n\r\n"),
        *(b"5\r\nabcde\r0\r\n\r\n", b"5;a\nb\r\nabcde\r\n0\r\n\r\n", b"5;a\rb\r\nabcde\r\n0\r\n\r\n"),
        *(
            b"5\r\nabcde\r\n0\r\nX\r\n\r\n",
            b"5\r\nabcde\r\n0\r\nX : y\r\n\r\n",
            b"5\r\nabcde\r\n0\r\nX: a\r\n b\r\n\r\n",
        ),
        *(
            b"5\r\nabcde\r\n0\r\nX: a\x00\r\n\r\n",
            b"5\r\nabcde\r\n0\r\n: y\r\n\r\n",
            b"5\r\nabcde\r\n0\r\nX: a\nY: b\r\n\r\n",
        ),
    ]
    yield from refused("framing", 400, [start + body for body in broken], 1)
    over = [b"7fffffffffffffff\r\n", b"ffffffffffffffff\r\n", b"FFFFFFFF\r\n", b"%x\r\nabcde" % (BODY_LIMIT + 1)]
    yield from refused("framing", 413, [start + body for body in over], 1)
    many = b"".join(b"X-%d: y\r\n" % number for number in range(101))
    wide = [b"5;" + b"a" * 2000 + b"\r\n", b"0\r\n" + many + b"\r\n", b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n"]
    yield from refused("sizes", 431, [start + body for body in wide], 1)
    good = [
        *(b"5\r\nabcde\r\n0\r\n\r\n", b"05\r\nabcde\r\n00\r\n\r\n", b'5;a="b c"\r\nabcde\r\n0;x\r\n\r\n'),
        *(b"2\r\nab\r\n3\r\ncde\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n", b"000000000000005\r\nabcde\r\n0\r\n\r\n"),
    ]
    for body in good:
        yield taken("framing", start + body, (b"POST", b"/x", b"abcde"))
    yield taken("framing", head(b"Transfer-Encoding: CHUNKED") + good[0], (b"GET", b"/x", b"abcde"))


def _codings() -> Iterator[Row]:
    body = b"5\r\nabcde\r\n0\r\n\r\n"
    named = b"identity|gzip, chunked|gzip|xchunked|deflate|br|gzip, deflate".split(b"|")
    for value in named:
        yield Row("codings", shown(value), post(b"Transfer-Encoding: " + value) + body, (501,))
    malformed = (
        b'|,chunked|chunked,|chunked;q=1|"chunked"|chun ked|chunked\x0b|\x0bchunked|[chunked]|chunked\x00'.split(b"|")
    )
    for value in malformed:
        yield Row("codings", shown(value), post(b"Transfer-Encoding: " + value) + body, (400,))
    misplaced = b"chunked, gzip|chunked, chunked|chunked, identity|chunked,gzip,chunked".split(b"|")
    for value in misplaced:
        yield Row("codings", shown(value), post(b"Transfer-Encoding: " + value) + body, (400,))
    lines = [
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding:", b" chunked"),
        (b"Transfer-Encoding: chunked", b" , identity"),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding\t: chunked",),
        (b" Transfer-Encoding: chunked",),
        (b"X: y\nTransfer-Encoding: chunked",),
        (b"X: y\rTransfer-Encoding: chunked",),
        (b"Transfer-Encoding\x00: chunked",),
        (b"Transfer\x0bEncoding: chunked",),
    ]
    yield from refused("codings", 400, [post(*some) + body for some in lines])
    old = head(b"Transfer-Encoding: chunked", start=b"POST /x HTTP/1.0")
    yield from refused(
        "codings", 400, [old + body, old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n") + body]
    )
    yield taken("codings", post(b"Transfer_Encoding: chunked", b"Content_Length: 5"), (b"POST", b"/x", b""))
    yield taken("codings", post(b"Transfer-Encoding: chunked  ") + body, (b"POST", b"/x", b"abcde"))


def _fields() -> Iterator[Row]:
    controls = [code for code in range(32) if code not in (9, 10, 13)] + [127]
    yield from refused("fields", 400, [head(b"X: a%cb" % code) for code in [*controls, 10, 13]])
    yield from refused(
        "fields", 400, [head(b"X%cY: a" % code) for code in [*controls, *b'\t "(),/;<=>?@[\\]{}\x80\xff']]
    )
    lines = [
        *(b"X : a", b"X\t: a", b": a", b"X", b"X a", b" X: a", b"\tX: a", b"X: a\r\n b", b"X: a\r\n\tb", b"X:\r\n a"),
        *(
            b"X: a\nY: b",
            b"X: a\r\r\nY: b",
            b"X: a\n",
            b"\x00",
            b"X: a\r\n\x00Y: b",
            b"\xff\xfe",
            b"X: a\n\nGET /y HTTP/1.1",
        ),
    ]
    yield from refused("fields", 400, [head(line) for line in lines])
    yield from refused("fields", 400, [head(b" " + HOST, host=b""), b"GET /x HTTP/1.1\r\n folded\r\nHost: a\r\n\r\n"])
    yield from refused(
        "fields", 400, [head().replace(b"\r\n", b"\n"), head().replace(b"\r\n", b"\r"), head()[:-2] + b"\n"]
    )
    yield from refused(
        "fields", 400, [b"\r\n" * 3 + head(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 20]
    )
    yield from refused("fields", 417, [post(b"Expect: 200-ok", b"Content-Length: 0")])
    for line in (b"X: \xff\x80", b"X:", b"X: \t a \t", b"X:a", b"!#$%&'*+-.^`|~: a", b"x_y: dropped"):
        yield taken("fields", head(line), (b"GET", b"/x", b""))
    yield taken("fields", b"\r\n" + head(), (b"GET", b"/x", b""))


def _hosts() -> Iterator[Row]:
    bad = [
        *(b"", b"a@b", b"a/b", b"a b", b"a:99999", b"a:0", b"a:", b"a:b", b"<script>", b"a,b", b"a?b", b"a#b", b"a\\b"),
        *(
            b"[::1",
            b"::1",
            b"[::1]x",
            b"a:80:80",
            b"%61",
            b"-",
            b".",
            b"a%00",
            b"\xff",
            b"a" * 300,
            b"http://a",
            b"a;b",
        ),
    ]
    yield from refused("host", 400, [head(host=b"Host: " + value) for value in bad])
    yield from refused("host", 400, [head(host=b""), head(b"Host: b"), head(HOST), head(b"hOST: a")])
    yield from refused("host", 400, [head(host=b"", start=b"GET http://a/x HTTP/1.1"), head(host=b"Host : a")])
    other = [b"http://b/x", b"https://a/x", b"http://a:81/x", b"http://a.b/x"]
    yield from refused("host", 421, [head(start=b"GET " + target + b" HTTP/1.1") for target in other])
    absolute = [
        b"http://a@b/x",
        b"http:///x",
        b"http://a:b/x",
        b"ftp://a/x",
        b"http:/x",
        b"http://a x",
        b"//a/x\x00",
        b"http:x",
    ]
    yield from refused("host", 400, [head(start=b"GET " + target + b" HTTP/1.1") for target in absolute])
    for value in (b"a:80", b"a.", b"A", b"[::1]:80", b"127.0.0.1", b"xn--a"):
        yield taken("host", head(host=b"Host: " + value), (b"GET", b"/x", b""))
    yield taken("host", head(start=b"GET http://a/x HTTP/1.1"), (b"GET", b"/x", b""))
    yield taken("host", head(start=b"GET HTTP://A/x?y HTTP/1.1"), (b"GET", b"/x?y", b""))
    yield taken("host", head(start=b"GET http://a?y HTTP/1.1"), (b"GET", b"/?y", b""))


def _targets() -> Iterator[Row]:
    bad = [
        b"x",
        b"/a b",
        b"/a\tb",
        b"/a\x00",
        b"/a\x1f",
        b"/a\x7f",
        b"/\x80",
        b"/a#b",
        b"*",
        b"?",
        b"a:80",
        b"../x",
        b"\\x",
    ]
    yield from refused("targets", 400, [head(start=b"GET " + target + b" HTTP/1.1") for target in bad])
    starts = [
        *(b"GET  /x HTTP/1.1", b"GET /x  HTTP/1.1", b"GET\t/x HTTP/1.1", b"GET /x\tHTTP/1.1", b" GET /x HTTP/1.1"),
        *(
            b"GET /x HTTP/1.1 ",
            b"GET /x HTTP/1.1x",
            b"GET /x",
            b"GET /x HTTP",
            b"GET /x HTTP/",
            b"GET /x HTTP/1",
            b"GET",
        ),
        *(
            b"GET /x HTTP/1.10",
            b"GET /x HTTP/01.1",
            b"GET /x http/1.1",
            b"GET /x HTTPS/1.1",
            b"GET /x RTSP/1.0",
            b"GET /x HTTP/1,1",
        ),
        *(b"G\x00T /x HTTP/1.1", b"GET /x HTTP/1.1\x00", b"HTTP/1.1 200 OK", b"GET /x ICE/1.0", b"SOURCE /x ICE/1.0"),
    ]
    yield from refused("targets", 400, [head(start=start) for start in starts])
    versions = [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/3.0", b"HTTP/0.0", b"HTTP/9.9"]
    yield from refused("targets", 505, [head(start=b"GET /x " + version) for version in versions])
    methods = [
        b"CONNECT",
        b"TRACE",
        b"get",
        b"Get",
        b"G" * 40,
        b"FOO",
        b"PURGE",
        b"SUBSCRIBE",
        b"M-SEARCH",
        b"PRI",
        b"TRACK",
    ]
    yield from refused(
        "targets", 501, [head(start=method + b" /x HTTP/1.1") for method in methods if method != b"CONNECT"]
    )
    yield from refused("targets", 501, [head(start=b"CONNECT a:80 HTTP/1.1")])
    yield taken("targets", head(start=b"OPTIONS * HTTP/1.1"), (b"OPTIONS", b"*", b""))
    for target in (b"/%00", b"/a%2Fb", b'/a|b"<>^`', b"/..", b"//x", b"/x?a?b", b"/x;y", b"/" + b"a" * (8 * KIB - 1)):
        yield taken("targets", head(start=b"GET " + target + b" HTTP/1.1"), (b"GET", target, b""))
    for method in (b"PUT", b"DELETE", b"PATCH", b"PROPFIND", b"QUERY"):
        yield taken("targets", head(start=method + b" /x HTTP/1.1"), (method, b"/x", b""))


def _sizes() -> Iterator[Row]:
    limits = DEFAULT_LIMITS
    long = [b"/" + b"a" * limits.target, b"/" + b"a" * limits.request_head, b"/" + b"a" * (64 * KIB)]
    yield from refused("sizes", 414, [head(start=b"GET " + target + b" HTTP/1.1") for target in long])
    many = [b"X-%d: y" % number for number in range(limits.fields)]
    large = b"Y: " + b"y" * limits.field
    heads = [
        head(large),
        head(b"N" * (limits.field + 1) + b": y"),
        head(*many),
        head(*[large[:-1]] * 2),
        head(large * 9),
    ]
    yield from refused("sizes", 431, heads)
    yield taken("sizes", head(large[:-1]), (b"GET", b"/x", b""))
    yield taken("sizes", head(*many[:-1]), (b"GET", b"/x", b""))
    whole = b"z" * BODY_LIMIT
    yield taken("sizes", post(b"Content-Length: %d" % BODY_LIMIT) + whole, (b"POST", b"/x", whole))
    yield Row("sizes", "8 MiB behind a 413", post(b"Content-Length: %d" % (8 * MIB)) + b"z" * 8 * MIB, (413,))
    chunk = b"10000\r\n" + b"z" * 65536 + b"\r\n"
    yield Row("sizes", "8 MiB in chunks", post(b"Transfer-Encoding: chunked") + chunk * 128, (413,), begun=1)
    yield Row("sizes", "8 MiB behind a 431", head(large * 9) + b"z" * 8 * MIB, (431,))
    yield Row("sizes", "8 MiB behind a 414", b"GET /" + b"z" * 8 * MIB, (414,))


def _pipelines() -> Iterator[Row]:
    one, two = head(start=b"GET /one HTTP/1.1"), head(start=b"GET /two HTTP/1.1")
    seen = ((b"GET", b"/one", b""), (b"GET", b"/two", b""))
    yield taken("pipelining", one + two, *seen)
    yield taken("pipelining", one + b"\r\n" + two, *seen)
    body = (b"POST", b"/x", b"abcde")
    yield taken("pipelining", post(b"Content-Length: 5") + b"abcde" + two, body, seen[1])
    yield taken("pipelining", post(b"Transfer-Encoding: chunked") + b"5\r\nabcde\r\n0\r\n\r\n" + two, body, seen[1])
    for name, bad, status in (
        ("space before colon", head(b"X : y"), 400),
        ("length and coding", post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        ("HTTP/2.0", head(start=b"GET / HTTP/2.0"), 505),
        ("too long", head(start=b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414),
    ):
        yield Row("pipelining", f"third: {name}", one + two + bad, (200, 200, status), seen)
    upgrade = head(b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    yield taken("pipelining", upgrade + two, (b"GET", b"/x", b""), seen[1])
    with_body = post(b"Connection: Upgrade", b"Upgrade: foo", b"Content-Length: 5") + b"abcde"
    yield taken("pipelining", with_body + two, body, seen[1])
    yield taken("pipelining", (one + two) * 20, *seen * 20)


ROWS: list[Row] = [
    row for rows in (_lengths, _chunks, _codings, _fields, _hosts, _targets, _sizes, _pipelines) for row in rows()
]
"""All of them."""
