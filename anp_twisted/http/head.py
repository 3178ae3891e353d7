"""
Is a request head one request, and which one? Pure checks, no I/O.

llhttp has taken the head apart and refused most of what is malformed. What it
lets pass although two readers could disagree about it is refused here: RFC 9110
and RFC 9112 say how, and the names of the functions say what.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from anp_twisted.errors import InvalidMessage, RequestRefused
from anp_twisted.headers import Header, parse_length, tokens
from anp_twisted.limits import Limits

METHODS = frozenset(
    b"GET HEAD POST PUT PATCH DELETE OPTIONS QUERY "
    b"PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT MKACTIVITY CHECKOUT MERGE "
    b"BIND REBIND UNBIND ACL MKCALENDAR LINK UNLINK".split()
)
"""
Methods that are passed on: the registered ones. CONNECT and TRACE make no sense
through a tunnel, and what nobody registered gets 501 (RFC 9110, 9.1).
"""

_TARGET = re.compile(rb"/[!\"$-~]*")
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)([!-~]*)", re.IGNORECASE)
_HOST = re.compile(rb"(?:[0-9A-Za-z](?:[0-9A-Za-z._~-]*)|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_LONGEST_HOST = 262
_TOKEN_LIST = re.compile(rb"[ \t]*[!#-'*+\-.^-z|~0-9A-Z]+[ \t]*(?:,[ \t]*[!#-'*+\-.^-z|~0-9A-Z]+[ \t]*)*")
_REQUEST_LINE = re.compile(rb"[!#-'*+\-.^-z|~0-9A-Z]+ [!-~]+ HTTP/([0-9])\.([0-9])\r\n")
_METHOD_SO_FAR = re.compile(rb"[A-Za-z-]+(?: [!-~ ]*(?:\r\n.*)?)?", re.DOTALL)
_LARGE_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*[0-9]{20,}[ \t]*(?:\r\n|\Z)", re.IGNORECASE)
_TWO_LENGTHS = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)


class RequestHead(NamedTuple):
    """
    One request without its body.

    @ivar target: origin-form, or C{*}; an absolute-form one was reduced.
    @ivar version: C{b"1.1"} or C{b"1.0"}.
    @ivar headers: as received, but for names with an underscore, which are left
        out: applications cannot tell them from the same name with a hyphen.
    @ivar host: whom the caller meant, C{b""} only with HTTP/1.0.
    @ivar content_length: C{None} if none was declared.
    @ivar has_body: a body follows, of however many bytes.
    @ivar expects_continue: the caller waits for a 100 before it sends the body.
    @ivar upgrade: the lower-case value of C{Upgrade} if the connection may be
        upgraded, else C{b""}.
    @ivar keep_alive: the caller wants to use the connection again.
    @ivar raw: the head as received, to its empty line; kept for upgrades only.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: list[Header]
    host: bytes
    content_length: int | None
    has_body: bool
    expects_continue: bool
    upgrade: bytes
    keep_alive: bool
    raw: bytes


class Parsed(NamedTuple):
    """
    What llhttp made of a head.

    @ivar raw: all bytes of the head, its empty line included.
    @ivar keep_alive: what C{Connection} and the version say about it.
    @ivar upgrade: C{Connection} lists C{upgrade} and there is an C{Upgrade} field.
    """

    method: bytes
    target: bytes
    headers: list[Header]
    raw: bytes
    keep_alive: bool
    upgrade: bool


_INTERESTING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


def check_head(parsed: Parsed, *, secure: bool, limits: Limits) -> RequestHead:
    """
    Judge a complete head.

    @param secure: the connection is a TLS one.
    @raise RequestRefused: if it is not a request we take.
    """
    method, _, headers, raw, keep_alive, upgrade = parsed
    version = check_request_line(parsed)
    check_sizes(parsed, limits)
    if b" \r\n" in raw or b"\t\r\n" in raw:
        headers = [(name, value.rstrip(b" \t")) for name, value in headers]
    if b"_" in raw:
        headers = [header for header in headers if b"_" not in header[0]]
    fields = _interesting(headers)
    host, target = _destination(parsed, check_host(fields.get(b"host", []), version), secure=secure)
    length = check_length(fields.get(b"content-length"), limits)
    chunked = b"transfer-encoding" in fields and check_coding(fields[b"transfer-encoding"], version)
    return RequestHead(
        method,
        target,
        version,
        headers,
        host,
        length,
        chunked or bool(length),
        b"expect" in fields and check_expect(fields[b"expect"], version),
        b",".join(fields[b"upgrade"]).strip().lower() if upgrade else b"",
        keep_alive,
        raw if upgrade else b"",
    )


def _interesting(headers: list[Header]) -> dict[bytes, list[bytes]]:
    """
    The values of the few fields that decide what a request is, by lower-case name.
    """
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _INTERESTING:
            found.setdefault(lower, []).append(value)
    return found


def check_request_line(parsed: Parsed) -> bytes:
    """
    Compare what was parsed with what was sent: llhttp takes several spaces,
    RTSP, HTTP/0.9 and HTTP/2.0 as well.

    @return: the version, C{b"1.1"} or C{b"1.0"}.
    @raise RequestRefused: 505 for another version, 501 for a method we do not
        pass on, else 400.
    """
    raw = parsed.raw
    line = b"%b %b HTTP/1." % (parsed.method, parsed.target)
    size = len(line)
    if not raw.startswith(line) or raw[size + 1 : size + 3] != b"\r\n":
        raise RequestRefused(_line_status(raw))
    if parsed.method not in METHODS:
        raise RequestRefused(501)
    minor = raw[size : size + 1]
    if minor == b"1":
        return b"1.1"
    if minor == b"0":
        return b"1.0"
    raise RequestRefused(505)


def _line_status(raw: bytes) -> int:
    """
    505 if the request line is sound but for its version, else 400.
    """
    match = _REQUEST_LINE.match(raw)
    return 505 if match and match.groups() not in ((b"1", b"1"), (b"1", b"0")) else 400


def check_sizes(parsed: Parsed, limits: Limits) -> None:
    """
    Hold a complete head against its caps.

    @raise RequestRefused: 414 for the target, 431 for anything else.
    """
    if len(parsed.target) > limits.target:
        raise RequestRefused(414)
    size = len(parsed.raw)
    if size > limits.request_head or len(parsed.headers) > limits.fields:
        raise RequestRefused(431)
    if size > limits.field and any(len(name) + len(value) > limits.field for name, value in parsed.headers):
        raise RequestRefused(431)


def oversize_status(raw: bytes, limits: Limits) -> int:
    """
    Which status a head that outgrew its cap gets: 414 if the target alone did.

    @param raw: what was received of it.
    """
    line = raw.partition(b"\r\n")[0]
    return 414 if len(line) > limits.target + len(b" ") + max(map(len, METHODS)) else 431


def valid_host(host: bytes) -> bool:
    """
    Whether C{host} is a name or address with an optional port.

    Stricter than RFC 3986: no user, no percent-encoding, no empty port, since
    none of them means anything in a public host name, and each has been used
    to make two readers disagree.
    """
    return len(host) <= _LONGEST_HOST and _sound_host(host)


@lru_cache(maxsize=1024)
def _sound_host(host: bytes) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    port = match[1]
    return port is None or 0 < int(port) < 65536


def check_host(hosts: list[bytes], version: bytes) -> bytes:
    """
    The one C{Host} of a request (RFC 9112, 3.2).

    @return: C{b""} only for HTTP/1.0, which does not demand one.
    @raise RequestRefused: 400 if there is none, more than one or a malformed one.
    """
    if not hosts and version == b"1.0":
        return b""
    if len(hosts) != 1 or not valid_host(hosts[0]):
        raise RequestRefused(400)
    return hosts[0]


def _destination(parsed: Parsed, host: bytes, *, secure: bool) -> tuple[bytes, bytes]:
    """
    Host and target, the latter reduced to origin-form or C{*}.

    @param host: what C{Host} says.
    """
    target = parsed.target
    if _TARGET.fullmatch(target) or (target == b"*" and parsed.method == b"OPTIONS"):
        return host, target
    return _from_absolute(parsed, host, secure=secure)


def _from_absolute(parsed: Parsed, host: bytes, *, secure: bool) -> tuple[bytes, bytes]:
    """
    Take an absolute-form target apart (RFC 9112, 3.2.2).

    @raise RequestRefused: 400 if it is none; 421 if it names another scheme or
        another host than the connection and C{Host} do.
    """
    match = _ABSOLUTE.fullmatch(parsed.target)
    if match is None or not valid_host(match[2]):
        raise RequestRefused(400)
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if scheme != (b"https" if secure else b"http"):
        raise RequestRefused(421)
    if host and authority.lower() != host.lower():
        raise RequestRefused(421)
    if not rest and parsed.method == b"OPTIONS":
        return authority, b"*"
    if not rest.startswith(b"/"):
        rest = b"/" + rest
    if _TARGET.fullmatch(rest) is None:
        raise RequestRefused(400)
    return authority, rest


def check_length(lengths: list[bytes] | None, limits: Limits) -> int | None:
    """
    The declared length of the body.

    @raise RequestRefused: 400 if it is malformed, 413 if it is over the cap.
    """
    if lengths is None:
        return None
    try:
        length = parse_length(lengths[0])
    except InvalidMessage:
        raise RequestRefused(413 if lengths[0].isdigit() and len(lengths) == 1 else 400) from None
    if len(lengths) > 1:
        raise RequestRefused(400)
    if length > limits.body:
        raise RequestRefused(413)
    return length


def check_coding(codings: list[bytes], version: bytes) -> bool:
    """
    Whether the body is chunked (RFC 9112, 6.1).

    @return: always C{True}.
    @raise RequestRefused: 501 for a coding we do not do; 400 for a malformed or
        doubled field, and with HTTP/1.0, which knows no transfer codings.
    """
    if len(codings) != 1 or version == b"1.0":
        raise RequestRefused(400)
    if codings[0].lower() == b"chunked":
        return True
    raise RequestRefused(501 if _TOKEN_LIST.fullmatch(codings[0]) else 400)


def check_expect(expectations: list[bytes], version: bytes) -> bool:
    """
    Whether the caller waits for a 100 (RFC 9110, 10.1.1).

    @raise RequestRefused: 417 for any other expectation.
    """
    if version == b"1.0":
        return False
    if tokens(expectations) != [b"100-continue"]:
        raise RequestRefused(417)
    return True


def explain(raw: bytes) -> int:
    """
    The status for a head that llhttp itself refused.

    llhttp tells why in words only; control flow does not follow words, so the
    few answers that are not 400 are found in the bytes.

    @param raw: what was received of the head.
    """
    match = _REQUEST_LINE.match(raw)
    if match is None:
        return 501 if _METHOD_SO_FAR.fullmatch(raw) and not _known_method(raw) else 400
    if match.groups() not in ((b"1", b"1"), (b"1", b"0")):
        return 505
    if not _known_method(raw):
        return 501
    if _LARGE_LENGTH.search(raw) and len(_TWO_LENGTHS.findall(raw)) == 1:
        return 413
    return 400


def _known_method(raw: bytes) -> bool:
    return raw.partition(b" ")[0] in METHODS
