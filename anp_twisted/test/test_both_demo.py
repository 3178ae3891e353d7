"""Rules of L{anp_twisted.both.demo}."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.both import demo
from anp_twisted.both.demo import BLOCK, Demo, Message, Receive, app, pattern

DONE: Message = {"type": "http.request", "body": b"", "more_body": False}
LEFT: Message = {"type": "http.disconnect"}


class Caller:
    """One request to the application, driven without a loop: nothing here waits."""

    def __init__(
        self, target: str, method: str = "GET", *messages: Message, accept: str = "*/*", left_after: int = 3
    ) -> None:
        path, _, query = target.partition("?")
        headers = [(b"accept", accept.encode())]
        self.scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers,
            "client": ("192.0.2.1", 1),
        }  # fmt: skip
        self.incoming = list(messages or [DONE])
        self.sent: list[Message] = []
        self.pauses = 0
        self.left_after = left_after

    async def receive(self) -> Message:
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def pause(self, receive: Receive) -> bool:
        self.pauses += 1
        return self.pauses == self.left_after

    def run(self) -> Caller:
        application = Demo(lambda: datetime(2026, 2, 24, 10, tzinfo=UTC), self.pause)
        task = application(self.scope, self.receive, self.send)
        try:
            while True:
                task.send(None)
        except StopIteration:
            return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class PageTests(SynchronousTestCase):
    """The five pages."""

    def test_index(self) -> None:
        """JSON for programs, a page for people."""
        caller = Caller("/?a=b").run()
        self.assertEqual((caller.status, caller.headers[b"content-type"]), (200, b"application/json"))
        self.assertEqual(json.loads(caller.body)["query"], "a=b")
        page = Caller("/", accept="text/html,*/*").run()
        self.assertIn(b"<!doctype html>", page.body)
        self.assertIn(b"default-src 'none'", page.headers[b"content-security-policy"])

    def test_lengths(self) -> None:
        """Each Content-Length is true."""
        for target in (
            "/",
            "/upload",
            "/download?bytes=70000",
            "/download.sha256?bytes=5",
            "/nothing",
            "/download?bytes=x",
        ):
            caller = Caller(target).run()
            self.assertEqual(int(caller.headers[b"content-length"]), len(caller.body), target)

    def test_missing(self) -> None:
        """404, and 405 with what is allowed."""
        self.assertEqual(Caller("/nothing").run().status, 404)
        caller = Caller("/events", "POST").run()
        self.assertEqual((caller.status, caller.headers[b"allow"]), (405, b"GET, HEAD"))

    def test_prefix(self) -> None:
        """Behind a prefix the pages are found by their last segment."""
        self.assertEqual(Caller("/tenant/a/upload").run().status, 200)
        self.assertEqual(Caller("/tenant/").run().status, 200)

    def test_events(self) -> None:
        """Each event is one piece with its time, until the caller leaves; the first comes without a pause."""
        caller = Caller("/events", left_after=3).run()
        self.assertEqual(caller.headers[b"content-type"], b"text/event-stream")
        self.assertEqual(len(caller.sent), 1 + 3)
        for number, message in enumerate(caller.sent[1:]):
            first, second = message["body"].decode().strip().split("\n")
            self.assertEqual(first, f"id: {number}")
            self.assertEqual(
                json.loads(second.removeprefix("data: ")),
                {"number": number, "sent": 1771927200.0, "time": "2026-02-24T10:00:00Z"},
            )
            self.assertTrue(message["more_body"])

    def test_eventsNobodyWants(self) -> None:
        """A caller who left at once, or asks for the head only, gets none."""
        self.assertEqual(len(Caller("/events", "GET", LEFT).run().sent), 1)
        self.assertEqual(Caller("/events", "HEAD").run().body, b"")

    def test_upload(self) -> None:
        """The body is counted and hashed piece by piece."""
        pieces: list[Message] = [
            {"type": "http.request", "body": b"abc", "more_body": True},
            {"type": "http.request", "body": b"", "more_body": True},
            {"type": "http.request", "body": b"def"},
        ]
        for method in ("POST", "PUT"):
            caller = Caller("/upload", method, *pieces).run()
            digest = hashlib.sha256(b"abcdef").hexdigest()
            self.assertEqual(json.loads(caller.body), {"bytes": 6, "pieces": 2, "sha256": digest})
        self.assertEqual(Caller("/upload", "POST", pieces[0], LEFT).run().sent, [])

    def test_download(self) -> None:
        """As many bytes as asked for, in pieces, with the hash that the other page tells."""
        for size in (0, 1, len(BLOCK), 3 * len(BLOCK) + 7):
            caller = Caller(f"/download?bytes={size}").run()
            self.assertEqual(len(caller.body), size)
            told = Caller(f"/download.sha256?bytes={size}").run().body.decode().strip()
            self.assertEqual(hashlib.sha256(caller.body).hexdigest(), told)
            self.assertLessEqual(max(len(message.get("body", b"")) for message in caller.sent[1:]), len(BLOCK))
        self.assertEqual(len(Caller("/download").run().body), 1024**2)
        self.assertEqual(Caller("/download?bytes=5", "HEAD").run().body, b"")

    def test_badSize(self) -> None:
        """A size that is none, or beyond the cap, is 400."""
        for text in ("-1", "x", "1e3", "4294967297", "9" * 400, "%D9%A3"):
            self.assertEqual(Caller(f"/download?bytes={text}").run().status, 400, text)
            self.assertEqual(Caller(f"/download.sha256?bytes={text}").run().status, 400, text)

    def test_yieldsWhileHashing(self) -> None:
        """A long hash lets others have their turn."""
        turns = 0

        async def sleep(seconds: float) -> None:
            nonlocal turns
            turns += 1

        self.patch(asyncio, "sleep", sleep)
        Caller("/download.sha256?bytes=16777216").run()
        self.assertEqual(turns, 4)

    def test_pattern(self) -> None:
        """The pattern is the same each time, and does not compress to nothing."""
        self.assertEqual(b"".join(pattern(100_000)), (BLOCK * 2)[:100_000])
        self.assertEqual(len(set(BLOCK)), 256)


class ProtocolTests(SynchronousTestCase):
    """ASGI besides the pages."""

    def test_lifespan(self) -> None:
        """Startup and shutdown are answered."""
        caller = Caller("/", "GET", {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        caller.scope = {"type": "lifespan"}
        caller.run()
        kinds = [message["type"] for message in caller.sent]
        self.assertEqual(kinds, ["lifespan.startup.complete", "lifespan.shutdown.complete"])

    def test_otherScopes(self) -> None:
        """What is not offered is refused, as ASGI wants it."""
        caller = Caller("/")
        caller.scope = {"type": "websocket"}
        self.assertRaises(NotImplementedError, caller.run)

    def test_oneSecond(self) -> None:
        """The real pause waits for the caller to leave, but not for ever."""

        async def gone() -> Message:
            return LEFT

        async def silent(awaitable: Any, seconds: float) -> Message:
            awaitable.close()
            raise TimeoutError

        for wait_for, left in ((None, True), (silent, False)):
            if wait_for is not None:
                self.patch(asyncio, "wait_for", wait_for)
            loop = asyncio.new_event_loop()
            self.addCleanup(loop.close)
            self.assertIs(loop.run_until_complete(demo._one_second(gone)), left)

    def test_app(self) -> None:
        """The module has the application that anp-both serves."""
        self.assertIsInstance(app, Demo)
