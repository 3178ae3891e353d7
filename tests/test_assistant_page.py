"""
The chat page in a real browser, against a real gateway.

With C{ANP_SCREENSHOTS=docs/images} the pictures in the documentation are made anew.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.assistant import Assistant, AssistantCase
from tests.browser import ALT, ENTER, ESCAPE, SHIFT, TAB, BrowserTestCase, Window
from tests.harness import ROOT, Program, wait_until

RELAY = Path(__file__).with_name("relay.py")

AGENT = "--agent=python:chat_agents:agent"

HOSTILE = (
    "<img src=x onerror=alert(1)> <script>alert(2)</script> <b onclick=alert(3)>b</b>",
    "[a](javascript:alert(4)) [b](data:text/html,<script>alert(5)</script>) [c](vbscript:x) ![d](javascript:x)",
    '[e](https://evil.example/"onmouseover="alert(6)) <https://evil.example/"onload="alert(7)>',
    "![tracker](https://evil.example/pixel.png) https://evil.example/<script>alert(8)</script>",
    "```html\n<script>alert(9)</script>\n```\n`<img src=x onerror=alert(10)>`",
    "| <script>alert(11)</script> | [x](javascript:alert(12)) |\n|---|---|\n| <svg onload=alert(13)> | ok |",
    "* " * 3000 + "[" * 3000 + "(" * 3000 + "`" * 3001 + "**" * 3000 + "> " * 3000 + "\n" + "    - x\n" * 40,
    "\u202etxt.exe \x00\x1b[31m <a href=javascript:alert(14)>x</a>",
)

ALLOWED = {
    *(
        "A",
        "BLOCKQUOTE",
        "BR",
        "BUTTON",
        "CODE",
        "DEL",
        "DIV",
        "EM",
        "H3",
        "H4",
        "H5",
        "H6",
        "HR",
        "LI",
        "OL",
        "P",
        "PRE",
    ),
    *("SPAN", "STRONG", "TABLE", "TBODY", "TD", "TH", "THEAD", "TR", "UL"),
}
"""What an answer may be made of."""


class PageTests(BrowserTestCase, AssistantCase):
    """What somebody does on the page."""

    def show(self, gateway: Assistant, *, url: str = "") -> Window:
        """Open the page, logged in."""
        window = self.window()
        window.open(f"{url or gateway.url}/#link={gateway.link}")
        window.wait_text("#link", "connected")
        return window

    def ended(self, window: Window, count: int = 1) -> None:
        """Wait until so many answers are complete."""
        script = (
            """return document.querySelectorAll(".message[data-role=assistant]:not([data-state=running])").length"""
        )
        wait_until(lambda: window.run(script) >= count, f"{count} answers")

    def say(self, window: Window, text: str, count: int = 1) -> str:
        """Say something and wait for the answer, the latest of so many."""
        window.type("#text", text + ENTER)
        self.ended(window, count)
        return window.text(".message:last-child .text")

    def test_conversation(self) -> None:
        """Log in by a link, talk, read, find old sessions again, delete; with nothing to complain of."""
        gateway = self.start_assistant(AGENT)
        window = self.show(gateway)
        self.assertEqual(window.run("return location.hash + location.search"), "")
        answer = self.say(window, f"say **two** lines{SHIFT}{ENTER}{SHIFT}and `code`")
        self.assertEqual(answer, "two lines\nand code")
        self.assertEqual(window.count(".message:last-child strong"), 1)
        self.assertEqual(window.text("#title"), "say two lines and code")
        window.keys(ALT + "n")
        window.wait_text("#title", "New chat")
        self.assertEqual(self.say(window, "say second"), "second")
        self.assertEqual(window.count("#sessions button"), 2)
        window.run("document.querySelector('#sessions li:last-child button').focus()")
        window.keys(ENTER)
        window.wait_text("#log", "two lines")
        self.assertEqual(window.count(".message"), 2)
        window.click("#delete")
        window.wait("the question", "return document.querySelector('#ask').open")
        window.click("#ask-yes")
        wait_until(lambda: window.count("#sessions button") == 1, "one session is left")
        window.open(gateway.url)
        window.wait_text("#sessions", "say second")
        self.assertEqual(window.complaints(), [])
        self.assertNotIn(gateway.token, gateway.log())

    def test_stream(self) -> None:
        """The answer grows, can be stopped, and what was said until then stays; failures and thoughts are told."""
        gateway = self.start_assistant(AGENT)
        window = self.show(gateway)
        window.type("#text", "count 500" + ENTER)
        window.wait_text(".message:last-child .text", "3 4")
        self.assertTrue(window.shown("#stop"))
        window.keys(ESCAPE)
        self.ended(window)
        self.assertIn("stopped", window.text(".message:last-child"))
        self.assertTrue(window.text(".message:last-child .text").startswith("1 2 3 4"))
        self.assertFalse(window.shown("#stop"))
        self.say(window, "fail", 2)
        self.assertIn("the model is out of order", window.text(".message:last-child"))
        self.assertEqual(self.say(window, "think", 3), "I have thought.")
        self.assertEqual(window.count(".message:last-child details"), 2)
        self.assertEqual(self.say(window, "replace", 4), "other words")
        window.open(gateway.url)
        window.wait_text("#sessions", "count 500")
        window.click("#sessions button")
        self.ended(window, 4)
        self.assertIn("stopped", window.text(".message:nth-child(2)"))

    def test_twoWindows(self) -> None:
        """What is said in one window appears in another one, while it is being said."""
        gateway = self.start_assistant(AGENT)
        first = self.show(gateway)
        self.say(first, "say hello")
        other = self.other_window()
        other.open(gateway.url)
        self.log_in(other, gateway.token)
        other.wait_text("#sessions", "say hello")
        other.click("#sessions button")
        self.ended(other)
        first.type("#text", "count 20" + ENTER)
        other.wait_text(".message:last-child .text", "5 6")
        self.assertNotIn("20", other.text(".message:last-child .text"))
        self.ended(other, 2)
        expected = " ".join(str(number) for number in range(1, 21))
        for window in (first, other):
            self.ended(window, 2)
            self.assertEqual(window.text(".message:last-child .text"), expected)

    def log_in(self, window: Window, token: str) -> None:
        """Enter a token."""
        window.wait("the question for a token", "return document.querySelector('#login').open")
        window.type("#token", token + ENTER)

    def test_token(self) -> None:
        """A token is entered by hand; a wrong one and a used link are refused in words; it stays in the tab."""
        gateway = self.start_assistant(AGENT)
        used = self.show(gateway)
        used.run("sessionStorage.clear()")
        used.open("about:blank")
        used.open(f"{gateway.url}/#link={gateway.link}")
        used.wait_text("#login-trouble", "used before")
        self.log_in(used, "wrong-token")
        used.wait_text("#login-trouble", "Not accepted")
        self.log_in(used, gateway.token)
        used.wait_text("#link", "connected")
        self.assertEqual(used.run("return localStorage.getItem('token')"), None)
        used.open(gateway.url)
        used.wait_text("#link", "connected")
        used.click("#leave")
        used.wait("the question for a token", "return document.querySelector('#login').open")
        self.assertEqual(used.run("return sessionStorage.getItem('token')"), None)
        self.assertNotIn(gateway.token, gateway.log())

    def relay(self, *ports: int | str) -> Program:
        """Put a relay before a port, itself on another."""
        return self.start_program(sys.executable, str(RELAY), *map(str, ports), name="relay")

    def test_lostConnection(self) -> None:
        """The connection is lost in the middle of an answer: the page comes back, and misses and doubles nothing."""
        gateway = self.start_assistant(AGENT)
        relay = self.relay(gateway.port)
        port = relay.line()
        window = self.show(gateway, url=f"http://127.0.0.1:{port}")
        window.type("#text", "count 60" + ENTER)
        window.wait_text(".message:last-child .text", "3 4")
        relay.end()
        window.wait_text("#link", "lost")
        relay = self.relay(gateway.port, port)
        window.wait_text(".message:last-child .text", "20 21")
        relay.end()
        self.relay(gateway.port, port)
        self.ended(window)
        self.assertEqual(window.text(".message:last-child .text"), " ".join(str(number) for number in range(1, 61)))
        self.assertEqual(window.count(".message"), 2)

    def test_restart(self) -> None:
        """The gateway is killed and comes back: what was interrupted says so, and the conversation goes on."""
        gateway = self.start_assistant(AGENT)
        window = self.show(gateway)
        window.type("#text", "count 500" + ENTER)
        window.wait_text(".message:last-child .text", "3 4")
        gateway.end()
        window.wait_text("#link", "lost")
        self.start_assistant(AGENT, port=gateway.port)
        window.wait_text("#link", "connected")
        self.ended(window)
        self.assertIn("interrupted", window.text(".message:last-child"))
        self.assertEqual(self.say(window, "say again", 2), "again")

    def test_hostile(self) -> None:
        """Whatever an answer holds is text: nothing runs, nothing is loaded, no link leads anywhere but to the web."""
        gateway = self.start_assistant(AGENT)
        window = self.show(gateway)
        window.run("window.alert = () => { window.pwned = true; }")
        for count, text in enumerate(HOSTILE, 1):
            # Typing what is not on a keyboard is slow: the text is put there as a paste does.
            window.run(
                "const t = document.getElementById('text'); t.value = arguments[0]; t.form.requestSubmit()",
                f"say {text}",
            )
            self.ended(window, count)
        names, links, attributes = window.run(
            """
            const inside = [...document.querySelectorAll(".text *")];
            return [
              [...new Set(inside.map((one) => one.tagName))],
              [...new Set(inside.filter((one) => one.href).map((one) => new URL(one.href).protocol))],
              [...new Set(inside.flatMap((one) => one.getAttributeNames()))],
            ];
            """
        )
        self.assertEqual(set(names) - ALLOWED, set())
        self.assertEqual(set(links), {"https:"})
        known = {"aria-label", "class", "data-language", "href", "rel", "start", "tabindex", "target", "type"}
        self.assertEqual(set(attributes) - known, set())
        self.assertIsNone(window.run("return window.pwned ?? null"))
        loaded = window.run("return performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)")
        self.assertEqual(set(loaded), {gateway.url})
        self.assertEqual(window.complaints(), [])

    def test_history(self) -> None:
        """A long conversation is shown from its end, and page by page before that; the reader stays where he is."""
        gateway = self.start_assistant(AGENT)
        client = self.rpc(gateway)
        for number in range(40):
            client.call("chat.send", session_key="long", text=f"say message {number}")
        window = self.show(gateway)
        window.click("#sessions button")
        window.wait_text("#log", "message 39")
        self.assertEqual(window.count(".message"), 50)
        window.click("#earlier")
        wait_until(lambda: window.count(".message") == 80, "all of it")
        self.assertFalse(window.shown("#earlier"))
        self.assertEqual(window.text(".message:first-child .text"), "say message 0")
        self.assertGreater(window.run("return document.getElementById('scroll').scrollTop"), 0)

    def test_manySessions(self) -> None:
        """However many sessions are looked at, each is shown, and what happens in the one that is open is told."""
        gateway = self.start_assistant(AGENT)
        client = self.rpc(gateway)
        for number in range(20):
            client.call("chat.send", session_key=f"number {number}", text=f"say this is {number}")
        window = self.show(gateway)
        wait_until(lambda: window.count("#sessions button") == 20, "all sessions")
        for place in range(1, 21):
            window.run("document.querySelector(arguments[0]).click()", f"#sessions li:nth-child({place}) button")
            window.wait_text(".message:last-child .text", f"this is {20 - place}")
        client.call("chat.send", session_key="number 0", text="say told")
        window.wait_text(".message:last-child .text", "told")
        self.assertFalse(window.shown("#trouble"))

    def test_pictures(self) -> None:
        """The page as it looks: on a desk, in the dark, on a phone; nothing is wider than the screen."""
        folder = ROOT / os.environ.get("ANP_SCREENSHOTS", str(self.folder))
        folder.mkdir(parents=True, exist_ok=True)
        gateway = self.start_assistant(AGENT)
        client = self.rpc(gateway)
        for session, text in (("groceries for the weekend", "say milk"), ("letter to the landlord", "say Dear Sir")):
            client.call("chat.send", session_key=session, text=text)
        window = self.show(gateway)
        self.say(window, "How do I get to Lyon?")
        window.run("document.getElementById('scroll').scrollTop = 0")
        window.picture(folder / "chat-desktop.png")
        window.dark(True)
        window.picture(folder / "chat-dark.png")
        ground = window.run("return getComputedStyle(document.body).backgroundColor")
        self.assertEqual(ground, "rgb(22, 24, 29)")
        phone = self.other_window(size=(390, 844))
        phone.open(gateway.url)
        self.log_in(phone, gateway.token)
        phone.wait_text("#link", "")
        phone.click("#side-open")
        phone.wait_text("#sessions", "Lyon")
        at_rest = "return document.getElementById('side').getBoundingClientRect().left === 0"
        phone.wait("the list to be out", at_rest)
        phone.picture(folder / "chat-phone-sessions.png")
        phone.click("#sessions button")
        self.ended(phone)
        wait_until(lambda: not phone.shown("#side"), "the list is put away")
        phone.picture(folder / "chat-phone.png")
        for one in (window, phone):
            self.assertEqual(one.run("return document.documentElement.scrollWidth - innerWidth"), 0)
        small = phone.run(
            "return [...document.querySelectorAll('main > header button, #compose button')].filter((one) => "
            "one.checkVisibility() && one.getBoundingClientRect().height < 40).map((one) => one.id)"
        )
        self.assertEqual(small, [])

    def test_keyboardAlone(self) -> None:
        """Everything can be reached with the tabulator, in the order in which it is read, and each has a name."""
        gateway = self.start_assistant(AGENT)
        window = self.show(gateway)
        self.say(window, "say x")
        window.run("document.querySelector('.skip').focus()")
        reached = []
        for _ in range(10):
            window.keys(TAB)
            reached.append(window.run("return document.activeElement.id || document.activeElement.className"))
        wanted = ["new", "theme", "leave", "delete", "scroll", "text"]
        self.assertEqual([name for name in dict.fromkeys(reached) if name in wanted], wanted)
        nameless = window.run(
            "return [...document.querySelectorAll('button, input, textarea')].filter((one) => "
            "!(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"
        )
        self.assertEqual(nameless, [])
