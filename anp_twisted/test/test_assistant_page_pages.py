"""Tests for L{anp_twisted.assistant.page.pages}."""

from __future__ import annotations

import re

from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock, Cooperator
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.page.pages import FILES, GUARDS, POLICY, pages
from anp_twisted.headers import Header
from anp_twisted.http.head import RequestHead
from anp_twisted.http.request import PublicRequest
from anp_twisted.test.callers import DATE


class Line:
    """A connection that keeps what is written."""

    date = DATE
    staying = True
    certificate = ""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        """Keep it."""
        self.sent += data

    send_last = send

    def hold_body(self, held: bool) -> None:
        """There is none."""

    def start_body_clock(self) -> None:
        """There is none."""

    def answered(self, keep_alive: bool) -> None:
        """Nothing follows."""

    def cut(self) -> None:
        """Nothing is left over."""

    def end_short(self) -> None:
        """Nothing is left over."""

    def hand_over(self, protocol: IProtocol, raw_head: bytes) -> None:
        """Nobody takes it."""


class PageTests(SynchronousTestCase):
    """What is answered for each file."""

    def ask(self, path: bytes, *fields: Header, method: bytes = b"GET") -> tuple[bytes, bytes]:
        """Ask for a file; the answer's head and body."""
        line = Line()
        head = RequestHead(method, path, b"1.1", [(b"Host", b"a"), *fields], b"a", None, False, False, b"", True, b"")
        request = PublicRequest(line, head, client=("127.0.0.1", 1), scheme=b"http", received=0.0)
        pages(Cooperator(scheduler=Clock().callLater))[path](request)  # type: ignore[arg-type]
        request.receive_end([])
        answer, _, body = line.sent.partition(b"\r\n\r\n")
        return answer, body

    def test_everyFile(self) -> None:
        """Each is there, says what it is, and carries every guard."""
        for path, (_, kind) in FILES.items():
            head, body = self.ask(path)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), path)
            self.assertIn(b"\r\nContent-Type: " + kind, head)
            self.assertIn(b"\r\nContent-Length: %d" % len(body), head)
            self.assertEqual([name for name, value in GUARDS if b"\r\n%s: %s" % (name, value) not in head], [])

    def test_unchanged(self) -> None:
        """A browser that has a file already is told so in a few bytes, still with the guards."""
        tag = re.search(rb'ETag: ("[0-9a-f]+")', self.ask(b"/chat.js")[0])
        assert tag is not None
        head, body = self.ask(b"/chat.js", (b"If-None-Match", b'"old", W/' + tag[1]))
        self.assertTrue(head.startswith(b"HTTP/1.1 304 "))
        self.assertEqual((body, POLICY in head), (b"", True))
        self.assertTrue(self.ask(b"/view.js", (b"If-None-Match", tag[1]))[0].startswith(b"HTTP/1.1 200 "))

    def test_methods(self) -> None:
        """HEAD has the head of GET without a body; everything else is refused."""
        head, body = self.ask(b"/", method=b"HEAD")
        self.assertEqual((head, body), (self.ask(b"/")[0], b""))
        head, body = self.ask(b"/", method=b"POST")
        self.assertIn(b"HTTP/1.1 405 ", head)
        self.assertIn(b"Allow: GET, HEAD", head)

    def test_nothingFromElsewhere(self) -> None:
        """No file names another address, and none makes markup of text or runs what is in the page."""
        for path in FILES:
            body = self.ask(path)[1]
            addresses = set(re.findall(rb"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s\"']*", body))
            self.assertEqual(addresses - {b"http://www.w3.org/2000/svg"}, set(), path)
            for word in (
                b"innerHTML",
                b"outerHTML",
                b"insertAdjacentHTML",
                b"document.write",
                b"eval(",
                b" style=",
                b" onclick=",
            ):
                self.assertNotIn(word, body, path)
        self.assertNotRegex(self.ask(b"/")[1], rb"<script(?![^>]* src=)[^>]*>")

    def test_policy(self) -> None:
        """The policy allows this address and nothing in the page itself."""
        self.assertTrue(POLICY.startswith(b"default-src 'none'"))
        for word in (b"require-trusted-types-for 'script'", b"trusted-types 'none'", b"frame-ancestors 'none'"):
            self.assertIn(word, POLICY)
        for word in (b"unsafe", b"http:", b"https:", b"data:", b"*"):
            self.assertNotIn(word, POLICY)

    def test_everythingIsServed(self) -> None:
        """Each file that one of them asks for is there."""
        asked = set()
        for path in FILES:
            asked |= set(re.findall(rb'(?:src|href)="([a-z]+\.[a-z]+)"', self.ask(path)[1]))
            asked |= set(re.findall(rb'from "\./([a-z]+\.js)"', self.ask(path)[1]))
        self.assertEqual({b"/" + name for name in asked} | {b"/"}, set(FILES))
