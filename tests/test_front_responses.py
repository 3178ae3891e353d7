"""Answers that are no HTTP, from an application and from a receiver: they never reach a caller as two answers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed

from anp_twisted.wire.heads import Reset, ResponseHead, Trailers
from anp_twisted.wire.v2 import Kind
from tests.apps.hostile import CASES
from tests.callers import Heard, ask
from tests.fuzz.compare import NEXT
from tests.harness import EndToEnd, Gateway
from tests.rawreceiver import RawReceiver

Frames = Callable[[RawReceiver, int], None]


def get(target: str, *, method: bytes = b"GET", fields: bytes = b"") -> bytes:
    """A request, with another behind it."""
    return b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, target.encode(), fields) + NEXT


class OutcomeCase(EndToEnd):
    """Judges what a caller saw."""

    def complaint(self, expected: str, heard: Heard) -> str:
        """
        Compare.

        @param expected: C{cut}, C{5xx}, or the status of a whole answer, with C{end} behind it where that is the last
            one of the connection, if it arrives at all.
        """
        first = heard.statuses[0] if heard.statuses else 0
        rest = [answer.status for answer in heard.answers if answer.status >= 200][1:]
        told = f"{[a.status for a in heard.answers]}, rest {heard.rest[:60]!r}, {heard.ended}"
        if heard.ended == "open":
            return f"the connection is still open: {told}"
        if expected == "cut":
            return "" if not heard.statuses and b"Set-Cookie" not in heard.rest else f"not cut: {told}"
        if heard.rest:
            return f"bytes too many: {told}"
        if expected.endswith(" end"):
            # Such an answer has no body that could be missing: it is whole, or nothing of it arrived.
            return "" if first in (0, int(expected[:3])) and not rest else told
        right = first in (500, 502) if expected == "5xx" else first == int(expected)
        return "" if right and rest == [200] else told


class ApplicationTests(OutcomeCase):
    """What our own receiver makes of an application that breaks the rules."""

    def test_cases(self) -> None:
        """Each is an error or a cut, and never another answer; the next request is served."""
        gateway = self.start_gateway()
        receiver = self.start_receiver(gateway, "hostile:app")
        wrong = []
        for number, (name, (_, expected)) in enumerate(CASES.items()):
            heard = ask(gateway.port, get(f"/case/{number}"))
            # A status without a body is complete before the body comes; what follows is cut.
            wanted = f"{expected} end" if expected in ("204", "304") else expected
            complaint = self.complaint(wanted, heard)
            if any(b"x-secret" in answer.head.lower() for answer in heard.answers):
                complaint += " x-secret"
            wrong += [f"{name}: {complaint}"] if complaint else []
        self.assertEqual(wrong, [])
        self.assertNotIn("Traceback", gateway.log())
        self.assertEqual(self.client(gateway.url).get("/").status_code, 200)
        self.assertIsNone(receiver.process.poll())


@dataclass(frozen=True)
class Case:
    """
    What a receiver sends for a request.

    @ivar expected: what the caller may see.
    @ivar method: of the request.
    """

    name: str
    frames: Frames
    expected: str
    method: bytes = b"GET"
    fields: bytes = b""


def whole(status: Any, *pairs: tuple[Any, Any], body: bytes = b"abc") -> Frames:
    """A whole answer in one frame."""
    return lambda raw, stream: raw.send(
        Kind.RESPONSE, stream, {"status": status, "headers": list(pairs)}, body, end=True
    )


def parts(status: Any, *pairs: tuple[Any, Any], body: bytes = b"abc") -> Frames:
    """The same with its body in a frame of its own."""

    def send(raw: RawReceiver, stream: int) -> None:
        raw.send(Kind.RESPONSE, stream, {"status": status, "headers": list(pairs)})
        raw.send(Kind.DATA, stream, body=body)
        raw.send(Kind.DATA, stream, end=True)

    return send


def heads(*metas: Any) -> Frames:
    """Heads one after the other, then a good answer."""

    def send(raw: RawReceiver, stream: int) -> None:
        for meta in metas:
            raw.send(Kind.RESPONSE, stream, meta)
        raw.send(Kind.RESPONSE, stream, ResponseHead(200, []), b"abc", end=True)

    return send


def trailers(*pairs: tuple[str, str]) -> Frames:
    """A good answer with trailers."""

    def send(raw: RawReceiver, stream: int) -> None:
        raw.send(Kind.RESPONSE, stream, ResponseHead(200, []), b"abc")
        raw.send(Kind.DATA, stream, Trailers(list(pairs)), end=True)

    return send


def _cases() -> Iterator[Case]:
    length = ("content-length", "3")
    values = ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\x00b", "a\x07", "a\x1b[2J", "a\x7f", "\u0100", "\u202e"]
    names = ["", "a b", "a:b", "a\r\nb", "a\n", "\x00", "(a)", "\xe4", "a\t", " a"]
    for how, make in (("whole", whole), ("in parts", parts)):
        for value in values:
            yield Case(f"value {value!r} {how}", make(200, ("x", value)), "502")
        for name in names:
            yield Case(f"name {name!r} {how}", make(200, (name, "a")), "502")
        for status in (99, 0, -1, 1000, 10**9, "200", "200 x", 200.5, True, None, [200], 100, 199):
            # Below 200 an answer has neither body nor end.
            yield Case(f"status {status!r} {how}", make(status), "502")
        for lengths in (["3", "3"], ["3", "4"], ["3, 3"], ["+3"], ["-3"], ["0x3"], ["x"], [""], ["3 3"], ["9" * 30]):
            pairs = [("Content-Length", one) for one in lengths]
            yield Case(f"lengths {lengths} {how}", make(200, *pairs), "502")
        yield Case(f"both {how}", make(200, length, ("Transfer-Encoding", "chunked")), "502")
        yield Case(f"both, other order {how}", make(200, ("transfer-encoding", "identity"), length), "502")
        yield Case(f"too short {how}", make(200, length, body=b"ab"), "cut")
        yield Case(f"HEAD with a body {how}", make(200, length), "200", method=b"HEAD")
        hop = [("Connection", "close, X-Secret"), ("X-Secret", "s"), ("Keep-Alive", "x"), ("Upgrade", "h2c")]
        yield Case(f"hop by hop {how}", make(200, *hop, length), "200")
        yield Case(f"coding {how}", make(200, ("Transfer-Encoding", "gzip, chunked")), "200")
        yield Case(f"looks like an answer {how}", make(200, body=b"HTTP/1.1 200 OK\r\n\r\n"), "200")
        yield Case(f"status 600 {how}", make(600, length), "600")
    split = b"abcHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    yield Case("too long whole", whole(200, length, body=split), "502")
    yield Case("too long in parts", parts(200, length, body=split), "cut")
    for status in (204, 304):
        yield Case(f"{status} with a body whole", whole(status, body=split), "502")
        yield Case(f"{status} with a body in parts", parts(status, body=split), f"{status} end")
        yield Case(f"{status} with a length", whole(status, length, body=b""), f"{status}")
    yield Case("unasked 101", heads(ResponseHead(101, [("upgrade", "websocket")])), "502")
    asked = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    yield Case("101 for h2c", heads(ResponseHead(101, [("upgrade", "h2c")])), "502", fields=asked)
    yield Case("103", heads(ResponseHead(103, [("link", "</a>")])), "200")
    yield Case("100 unasked", heads(ResponseHead(100, [])), "200")
    yield Case("103 with CRLF", heads(ResponseHead(103, [("link", "a\r\nb")])), "502")
    yield Case("17 times 103", heads(*[ResponseHead(103, [])] * 17), "502")
    yield Case("malformed JSON", heads(b"{"), "502")
    yield Case("deep JSON", heads(b"[" * 10_000), "502")
    yield Case("no object", heads(b"[]"), "502")
    yield Case("large JSON", heads(b'{"status":200,"headers":[["a","' + b"x" * 70_000 + b'"]]}'), "502")
    yield Case("129 fields", whole(200, *[("a", "b")] * 129), "502")
    yield Case("fields of one", whole(200, ("a",)), "502")  # type: ignore[arg-type]
    yield Case("data first", lambda raw, stream: raw.send(Kind.DATA, stream, body=b"abc", end=True), "502")
    yield Case("two heads", heads(ResponseHead(200, [("content-length", "3")])), "cut")
    yield Case("reset", lambda raw, stream: raw.send(Kind.RESET, stream, Reset(2, "app", "a\r\nb")), "5xx")
    takes = b"Connection: TE\r\nTE: trailers\r\n"
    for name, fields, bad in (("taken", takes, "cut"), ("not taken", b"", "200")):
        good = trailers(("x-sum", "1"), ("Content-Length", "9"), ("Transfer-Encoding", "x"))
        yield Case(f"trailers, {name}", good, "200", fields=fields)
        yield Case(f"trailer with CRLF, {name}", trailers(("x", "a\r\n\r\nHTTP/1.1 200 OK")), bad, fields=fields)
        yield Case(f"trailer with a bad name, {name}", trailers(("x y", "a")), bad, fields=fields)


class Hostile(threading.Thread):
    """
    Answers each request as its case says, and connects again whenever it is thrown out.

    @ivar thrown_out: how often that was.
    """

    def __init__(self, gateway: Gateway, cases: list[Case]) -> None:
        super().__init__(daemon=True)
        self.thrown_out = 0
        self._gateway = gateway
        self._cases = cases
        self._raw = RawReceiver(gateway)
        self._over = threading.Event()

    def run(self) -> None:
        """Work."""
        while not self._over.is_set():
            try:
                self._answer(self._raw.request())
            except (ConnectionClosed, OSError, TimeoutError):
                if not self._over.is_set():
                    self.thrown_out += 1
                    self._raw = RawReceiver(self._gateway)

    def _answer(self, stream: int) -> None:
        number = self._raw.requests[stream].target.rpartition("/")[2]
        frames = self._cases[int(number)].frames if number.isdigit() else whole(200)
        frames(self._raw, stream)

    def stop(self) -> None:
        """Leave."""
        self._over.set()
        self._raw.close()
        self.join(10)


class ReceiverTests(OutcomeCase):
    """A receiver that sends what ours never would."""

    def test_cases(self) -> None:
        """Each is a 502, a cut, or harmless, and is counted; the next request is served."""
        cases = list(_cases())
        gateway = self.start_gateway()
        hostile = Hostile(gateway, cases)
        hostile.start()
        self.addCleanup(hostile.stop)
        wrong = []
        for number, case in enumerate(cases):
            sent = get(f"/case/{number}", method=case.method, fields=case.fields)
            heard = ask(gateway.port, sent, methods=[case.method, b"GET"])
            complaint = self.complaint(case.expected, heard)
            if any(b"x-secret" in answer.head.lower() for answer in heard.answers):
                complaint += " x-secret"
            wrong += [f"{case.name}: {complaint}"] if complaint else []
        stats = httpx.get(f"{gateway.management}/stats", trust_env=False).json()
        counted = stats["requests"]["malformed_answers"]
        print(
            f"\nanswers tried {len(cases)}, split 0, counted {counted}, links closed {hostile.thrown_out}",
            file=sys.stderr,
        )
        self.assertEqual(wrong, [])
        self.assertGreater(counted + hostile.thrown_out, len([case for case in cases if case.expected == "502"]) // 3)
        self.assertNotIn("Traceback", gateway.log())


class TrailerTests(EndToEnd):
    """Trailers go both ways."""

    def test_both_ways(self) -> None:
        """Those of the request reach the receiver, those of the answer the caller."""
        gateway = self.start_gateway()
        raw = RawReceiver(gateway)
        self.addCleanup(raw.close)
        heard: list[Heard] = []
        request = (
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close, TE\r\n"
            b"TE: trailers\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nAuthorization: evil\r\n\r\n"
        )
        caller = threading.Thread(target=lambda: heard.append(ask(gateway.port, request)))
        caller.start()
        stream = raw.whole_request()
        trailers(("x-sum", "2"), ("content-length", "1"))(raw, stream)
        caller.join()
        self.assertEqual(raw.bodies[stream], b"abc")
        self.assertEqual(raw.ends[stream].meta, b'{"headers":[["X-Sum","1"]]}')
        (answer,) = heard[0].answers
        self.assertEqual((answer.status, answer.body), (200, b"abc\r\nx-sum: 2"))
