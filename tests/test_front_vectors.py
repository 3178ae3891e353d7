"""
Every row of the table of malformed requests, in memory and over real processes.

A row that is refused reaches nobody, is answered once, and ends the connection; one that is taken is the same request
at the application. What follows the row on the connection must not be read otherwise than it was meant.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import DEFAULT_LIMITS, MIB
from anp_twisted.test.callers import CallerTransport, Port, Recorder
from tests.callers import Heard, ask, parse
from tests.front_rows import BODY_LIMIT, ROWS, Row
from tests.fuzz.compare import NEXT
from tests.harness import EndToEnd

LAST = (b"GET", b"/next", b"")


class AnsweringPort(Port):
    """
    A port in memory that answers each request once it is complete.

    @ivar seen: method, target and body of those.
    """

    def __init__(self) -> None:
        super().__init__(replace(DEFAULT_LIMITS, body=BODY_LIMIT))
        self.seen: list[tuple[bytes, bytes, bytes]] = []

    def on_request(self, request: PublicRequest) -> None:
        """Attach what answers."""
        request.attach(AnsweringRecorder(self, request))


class AnsweringRecorder(Recorder):
    """Answers a request when it has ended."""

    def __init__(self, port: AnsweringPort, request: PublicRequest) -> None:
        super().__init__()
        self.port = port
        self.request = request

    def body_ended(self, trailers: Any) -> None:
        """Note the request and answer it."""
        self.port.seen.append((self.request.method, self.request.target, self.body))
        self.request.respond(200, [(b"Content-Length", b"0")])


class InMemoryTests(SynchronousTestCase):
    """Each row at once, byte by byte, and in pieces of 7."""

    def outcome(self, data: bytes, step: int) -> tuple[list[int], list[tuple[bytes, bytes, bytes]], bool]:
        """Feed a connection; return the statuses, what was seen, and whether the connection is over."""
        port = AnsweringPort()
        caller, transport = port.connect()
        assert isinstance(transport, CallerTransport)
        for at in range(0, len(data), step):
            caller.dataReceived(data[at : at + step])
        answers, rest = parse(transport.value(), [])
        self.assertEqual(rest, b"")
        return [answer.status for answer in answers], port.seen, not transport.open

    def test_rows(self) -> None:
        """The outcome is the one of the table however the bytes are cut."""
        for row in ROWS:
            expected = [*row.statuses, 200] if row.taken else list(row.statuses)
            seen = [*row.seen, LAST] if row.taken else list(row.seen)
            sent = row.sent + NEXT
            for step in (len(sent), 7, 1) if len(sent) < 100_000 else (len(sent), 65536):
                statuses, found, over = self.outcome(sent, step)
                if step < len(sent) and row.group == "targets" and not row.taken:
                    # Half a request line may be wrong for another reason than the whole one.
                    statuses = [row.statuses[-1] if status in (400, 501, 505) else status for status in statuses]
                self.assertEqual((statuses, found, over), (expected, seen, True), (row.group, row.name, step))

    def test_table(self) -> None:
        """It is as large as it should be, and no row is there twice."""
        self.assertGreaterEqual(len(ROWS), 200)
        self.assertEqual(len({row.sent for row in ROWS}), len(ROWS))


class RecordedCase(EndToEnd):
    """A gateway and a receiver whose application keeps what reaches it."""

    gateway_options: tuple[str, ...] = (f"--body-limit={BODY_LIMIT}",)

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.gateway = self.start_gateway(*self.gateway_options)
        self.receiver = self.start_receiver(self.gateway, "recorder:app")

    def ask(self, data: bytes, **keywords: Any) -> Heard:
        """Send bytes on a connection of their own."""
        return ask(self.gateway.port, data, **keywords)

    def seen(self) -> list[dict[str, Any]]:
        """What reached the application since the last time; it is asked on a connection of its own."""
        heard = self.ask(b"GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(heard.statuses, [200])
        notes: list[dict[str, Any]] = json.loads(heard.answers[0].body)
        return notes

    def no_traceback(self) -> None:
        """Nobody was surprised."""
        for program in (self.gateway, self.receiver):
            self.assertNotIn("Traceback", program.log())


class ThroughTheTunnelTests(RecordedCase):
    """The same rows by socket against a gateway process, with a receiver behind it."""

    def test_rows(self) -> None:
        """Each row has its outcome within a second, costs little, and the next connection works."""
        wrong: list[str] = []
        desyncs = 0
        began, memory, slowest = self.gateway.cpu(), self.gateway.rss(), 0.0
        for row in ROWS:
            before = self.gateway.cpu()
            heard = self.ask(row.sent + NEXT)
            slowest = max(slowest, heard.seconds)
            complaints, desynced = self.judge(row, heard)
            desyncs += desynced
            if self.gateway.cpu() - before > 0.5:
                complaints.append("it costs more than half a second")
            wrong += [f"{row.group}: {row.name}: {complaint}" for complaint in complaints]
        spent = (self.gateway.cpu() - began) / len(ROWS)
        grown = self.gateway.peak_rss() - memory
        accepted = len([line for line in wrong if "taken" in line])
        print(
            f"\nrows tried {len(ROWS)}, accepted wrongly {accepted}, desyncs {desyncs}, other complaints "
            f"{len(wrong) - accepted}; slowest {slowest:.3f} s, CPU {spent * 1000:.1f} ms a row, "
            f"peak +{grown / MIB:.1f} MiB",
            file=sys.stderr,
        )
        self.assertEqual(wrong, [])
        self.assertLess(slowest, 1.0)
        self.assertLess(grown, 16 * MIB)
        self.no_traceback()

    def judge(self, row: Row, heard: Heard) -> tuple[list[str], bool]:
        """Compare what happened with the row; tell whether something was read as another request."""
        notes = self.seen()
        whole = [
            (n["method"].encode(), n["target"].encode("latin-1"), n["body"].encode("latin-1"))
            for n in notes
            if n["complete"]
        ]
        expected = [*row.seen, LAST] if row.taken else list(row.seen)
        statuses = [*row.statuses, 200] if row.taken else list(row.statuses)
        complaints = []
        if heard.statuses != statuses or heard.rest:
            complaints.append(f"answered {heard.statuses}, not {statuses}; {heard.rest[:50]!r}")
        if heard.ended != "closed":
            complaints.append(f"the connection is {heard.ended}")
        if len(whole) > len(expected) or len(notes) - len(whole) > row.begun:
            complaints.append(f"taken: {whole[len(expected) :]}")
        desynced = any(one not in expected for one in whole)
        if whole != expected:
            complaints.append(f"the application saw {[one[:2] for one in whole]}")
        return complaints, desynced


class OrderTests(RecordedCase):
    """Pipelined requests for different receivers."""

    def setUp(self) -> None:
        """Start a second receiver with a prefix of its own."""
        super().setUp()
        other = {"RECORDER_NAME": "other"}
        self.other = self.start_receiver(self.gateway, "recorder:app", "--path=/other", environment=other)

    def test_slow_then_fast(self) -> None:
        """Answers come in the order of the requests, each with its own body, also when the first takes longer."""
        requests, bodies = [], []
        for number in range(20):
            target = (b"/slow", b"/other/fast", b"/fast")[number % 3]
            body = b"body %d" % number
            requests.append(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (target, len(body), body))
            bodies.append(target + b" " + body)
        heard = self.ask(b"".join(requests) + NEXT)
        self.assertEqual([answer.body for answer in heard.answers], [*bodies, b"/next "])
        servers = [answer.values(b"x-served-by") for answer in heard.answers]
        self.assertEqual(servers, [[b"other"] if n % 3 == 1 else [b"recorder"] for n in range(20)] + [[b"recorder"]])
        self.assertEqual(heard.ended, "closed")

    def test_malformed_third(self) -> None:
        """The earlier answers are there before the connection ends, and nothing behind it is looked at."""
        slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        heard = self.ask(slow + slow.replace(b"/slow", b"/other/x") + slow.replace(b"Host: a", b"Host : a") + slow)
        self.assertEqual(heard.statuses, [200, 200, 400])
        self.assertEqual([note["target"] for note in self.seen()], ["/slow"])
        self.no_traceback()


class RouteTests(RecordedCase):
    """Two tenants on one gateway, and targets that try to be in both."""

    TENANTS = (("/a", "a"), ("/ab", "ab"), ("/a/b", "a-b"))
    TARGETS: tuple[tuple[bytes, str], ...] = (
        (b"/a", "a"),
        (b"/a/", "a"),
        (b"/a/x", "a"),
        (b"/a?x=/ab", "a"),
        (b"/ab", "ab"),
        (b"/ab/..", "400"),
        (b"/abc", "recorder"),
        (b"/a/b", "a-b"),
        (b"/a/bc", "a"),
        (b"/a/b/c", "a-b"),
        (b"/A", "recorder"),
        (b"/a/../ab", "400"),
        (b"/a/%2e%2e/ab", "400"),
        (b"/a/%2E%2e/ab/x", "400"),
        (b"/a/..%2fab", "400"),
        (b"/x/..%2fab", "400"),
        (b"/a/./x", "a"),
        (b"/./a", "400"),
        (b"//a", "400"),
        (b"//a/b", "400"),
        (b"/a//b", "400"),
        (b"/a//x", "a"),
        (b"/%61", "400"),
        (b"/%61%62", "400"),
        (b"/a%2fb", "400"),
        (b"/a%2Fx", "400"),
        (b"/a;x", "400"),
        (b"/a/b;x=1", "400"),
        (b"/a/x;y", "a"),
        (b"/a\\b", "400"),
        (b"/a\\..\\ab", "400"),
        (b"/a/%5c..%5cab", "400"),
        (b"/..", "recorder"),
        (b"/%2e%2e/a", "400"),
        (b"/a/b/..", "400"),
        (b"/a/b/../../ab", "400"),
        (b"/a/%252e%252e/ab", "a"),
        (b"/a/%zz", "a"),
        (b"/a/%", "a"),
        (b"/a/%00", "a"),
        (b"/%2Fa", "400"),
        (b"/x/%2e%2e/%61", "400"),
        (b"/a.", "recorder"),
        (b"/a%20", "recorder"),
    )

    def test_targets(self) -> None:
        """The longest prefix of whole segments gets the target byte for byte; where two readings differ it is 400."""
        for path, name in self.TENANTS:
            self.start_receiver(self.gateway, "recorder:app", f"--path={path}", environment={"RECORDER_NAME": name})
        for target, expected in self.TARGETS:
            for host in (b"a", b"a.", b"A:80"):
                heard = self.ask(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (target, host))
                (answer,) = heard.answers
                server = b"".join(answer.values(b"x-served-by")).decode() or str(answer.status)
                self.assertEqual(server, expected, target)
                if answer.status == 200:
                    self.assertEqual(answer.body, target.partition(b"?")[0] + b" ")
        self.no_traceback()


class LogTests(RecordedCase):
    """What strangers write does not reach the operator's terminal."""

    TARGETS = (
        b"/\x1b[31mred",
        b"/a\nadmin logged in",
        b"/a\r\nX: y",
        "/\u202egnp.exe".encode(),
        b"/" + b"A" * 10_000,
        b"/<script>alert(1)</script>",
        b'/"},{"status":200',
        b"/%1b%5b31m%0a",
        b"/\\u001b[31m",
        b"/" + b"%e2%80%ae" * 800,
    )

    def test_lines(self) -> None:
        """One request is one line of at most 2 KiB of printable ASCII, whatever is in it."""
        time_before = len(self.gateway.log().splitlines())
        for target in self.TARGETS:
            for agent in (b"x", b"\x1b[2J", b"did:wba:\xe2\x80\xae.example", b"<b>" * 1000):
                self.ask(b"GET %b HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\nConnection: close\r\n\r\n" % (target, agent))
        raw = self.gateway.log_path.read_bytes()
        self.assertTrue(all(byte == 10 or 32 <= byte < 127 for byte in raw), "only printable ASCII")
        lines = raw.decode().splitlines()[time_before:]
        self.assertEqual(len(lines), 4 * len(self.TARGETS))
        for line in lines:
            self.assertLessEqual(len(line), 2048)
            self.assertIn(json.loads(line)["status"], (200, 400, 414))
        self.no_traceback()

    def test_problems_are_no_pages(self) -> None:
        """An error answer is JSON that no browser takes for a page, and shows nothing the caller wrote."""
        heard = self.ask(
            b"GET /ws?<script>x</script> HTTP/1.1\r\nHost: a\r\nOrigin: <script>\r\nConnection: close\r\n\r\n"
        )
        (answer,) = heard.answers
        self.assertEqual(answer.values(b"content-type"), [b"application/problem+json"])
        self.assertNotIn(b"script", answer.head + answer.body)


class HopByHopTests(RecordedCase):
    """What concerns one connection stays on it."""

    def fields(self, *lines: bytes, method: bytes = b"GET") -> dict[str, str]:
        """Send fields; return those the application saw, by name."""
        request = b"\r\n".join([method + b" /x HTTP/1.1", b"Host: a", *lines, b"", b""])
        heard = self.ask(request + NEXT)
        self.assertEqual(heard.statuses[-1:], [200])
        note = next(note for note in self.seen() if note["target"] == "/x")
        return dict(note["headers"])

    def test_connection_strips(self) -> None:
        """What Connection lists is dropped, save what decides who asks for what."""
        kept = ["Authorization: b", "Forwarded: for=1", "Cookie: c", "X-Secret: s", "X-Other: o"]
        listed = b"Connection: keep-alive, X-Secret, Authorization, Host, Forwarded, Cookie, Content-Length"
        found = self.fields(listed, *[line.encode() for line in kept], b"Content-Length: 0")
        self.assertEqual(found.get("authorization"), "b")
        self.assertEqual((found.get("host"), found.get("cookie"), found.get("x-other")), ("a", "c", "o"))
        self.assertEqual(found.get("content-length"), "0")
        self.assertNotIn("x-secret", found)
        self.assertNotIn("connection", found)

    def test_dropped(self) -> None:
        """Fields of the connection go no further, nor does an offer of HTTP/2."""
        names = [b"Keep-Alive", b"TE", b"Trailer", b"Proxy-Authorization", b"Proxy-Connection", b"Proxy-Authenticate"]
        upgrade = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]
        found = self.fields(*upgrade, *[name + b": x" for name in names], b"X: y")
        self.assertEqual(
            {name for name in found if not name.startswith("x-")} - {"host", "forwarded"}, {"x"} & set(found)
        )
        self.assertEqual(found["x"], "y")

    def test_claims(self) -> None:
        """A stranger does not say who the caller is."""
        claims = [
            b"X-Forwarded-For: 6.6.6.6",
            b"X-Forwarded-Host: evil",
            b"X-Forwarded-Proto: https",
            b"X-Real-IP: 6.6.6.6",
        ]
        found = self.fields(*claims, b"Forwarded: for=6.6.6.6", b"X_Forwarded_For: 6.6.6.6")
        self.assertNotIn("6.6.6.6", json.dumps(found))
        self.assertNotIn("evil", json.dumps(found))


class ExpectTests(RecordedCase):
    """C{100 Continue} is the application's word."""

    HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"

    def test_wanted(self) -> None:
        """It comes when the application reads; then the body counts."""
        from tests.callers import connect, hear

        with connect(self.gateway.port) as connection:
            connection.sendall(self.HEAD % b"/x")
            self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"abcde")
            heard = hear(connection)
        self.assertEqual((heard.statuses, heard.answers[0].body), ([200], b"/x abcde"))

    def test_not_wanted(self) -> None:
        """An application that answers without reading is not followed by it, and the connection ends."""
        for _ in range(5):
            began = time.monotonic()
            heard = self.ask(self.HEAD % b"/early")
            self.assertEqual([answer.status for answer in heard.answers], [200])
            self.assertEqual(heard.answers[0].values(b"connection"), [b"close"])
            self.assertLess(time.monotonic() - began, 1.0)
