"""
Requests that are nearly right: what hypothesis makes of a few good ones.
"""

from __future__ import annotations

from hypothesis import strategies as st

LINES = [
    b"Host: a",
    b"Host: b",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 05",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 28",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: upgrade",
    b"Connection: Content-Length, Transfer-Encoding",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"TE: trailers",
    b"X:",
    b"X: \t a b \t ",
    b" folded",
    b"\tfolded",
    b"X-Long: " + b"x" * 300,
    b"X: \x80\xff",
    b"X\x00: a",
    b"X: a\x00b",
    b"X: a\rb",
    b"X: a\nTransfer-Encoding: chunked",
    b"nocolon",
    b": noname",
    b"Proxy-Connection: close",
]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b" \r\n", b"\n\r\n", b""]
START_LINES = [
    b"GET / HTTP/1.1",
    b"POST /a?b=c HTTP/1.1",
    b"POST /a HTTP/1.0",
    b"GET http://a/b HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"HEAD //x HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET /\tx HTTP/1.1",
    b"GET / HTTP/2.0",
    b"GET /",
    b"CONNECT a:80 HTTP/1.1",
    b"get / HTTP/1.1",
    b"PRI * HTTP/2.0",
]
BODIES = [
    b"",
    b"abcde",
    b"5\r\nabcde\r\n0\r\n\r\n",
    b"5;a=b\r\nabcde\r\n0\r\nX: y\r\n\r\n",
    b"5\nabcde\n0\n\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5 \r\nabcde\r\n0\r\n\r\n",
    b"00005\r\nabcde\r\n000\r\n\r\n",
    b"5\r\nabcdeX\r\n0\r\n\r\n",
    b"5\r\nabcde\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
    b"5;\x00\r\nabcde\r\n0\r\n\r\n",
    b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\n\r\nGET /inner HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n",
    b"\r\n\r\n",
]

_line = st.builds(bytes.__add__, st.sampled_from(LINES), st.sampled_from(ENDS))
_head = st.builds(
    lambda start, end, host, lines, empty: start + end + host + b"".join(lines) + empty,
    st.sampled_from(START_LINES[:6] * 4 + START_LINES),
    st.sampled_from(ENDS[:5] * 4 + ENDS),
    st.sampled_from([b"Host: a\r\n"] * 8 + [b""]),
    st.lists(_line, max_size=4),
    st.sampled_from([b"\r\n"] * 12 + ENDS),
)
_request = st.builds(bytes.__add__, _head, st.sampled_from(BODIES))


def _put(data: bytes, at: int, drop: int, insert: bytes) -> bytes:
    at %= len(data) + 1
    return data[:at] + insert + data[at + drop :]


_splices = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 3), st.binary(max_size=3) | st.sampled_from(LINES + ENDS)),
    max_size=2,
)


def _spliced(requests: list[bytes], splices: list[tuple[int, int, bytes]]) -> bytes:
    data = b"".join(requests)
    for at, drop, insert in splices:
        data = _put(data, at, drop, insert)
    return data


requests = st.builds(_spliced, st.lists(_request, min_size=1, max_size=3), _splices)
"""One to three requests in a row, some of them right, some nearly."""
