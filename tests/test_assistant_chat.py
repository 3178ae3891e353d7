"""C{anp-chat} as somebody uses it: at a terminal, in a pipe, over connections that are lost."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.assistant import Assistant, AssistantCase
from tests.harness import Program, readable, wait_until

RELAY = Path(__file__).with_name("relay.py")

AGENT = "--agent=python:chat_agents:agent"

COUNTED = " ".join(str(number) for number in range(1, 61))


def chat_command(gateway: Assistant, folder: Path, *arguments: str, url: str = "") -> list[str]:
    """What starts it as the operator of a gateway."""
    script = str(Path(sys.executable).with_name("anp-chat"))
    token = folder / "assistant-state" / "assistant.token"
    return [script, f"--url={url or gateway.url}", f"--token-file={token}", *arguments]


class Keyboard:
    """A terminal with a program in it."""

    def __init__(self, command: list[str]) -> None:
        own, other = pty.openpty()
        self._own = own
        self.shown = ""
        self.process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, start_new_session=True)
        os.close(other)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._own, text.encode())

    def wait(self, text: str) -> None:
        """Wait until something is shown."""

        def look() -> bool:
            if text not in self.shown and readable(self._own, 0.1):
                self.shown += os.read(self._own, 65536).decode(errors="replace").replace("\r\n", "\n")
            return text in self.shown

        wait_until(look, f"{text!r} is shown; so far: {self.shown!r}")

    def end(self) -> None:
        """Take it away."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._own)


class ChatTests(AssistantCase):
    """Real processes."""

    def setUp(self) -> None:
        """Start a gateway."""
        super().setUp()
        self.gateway = self.start_assistant(AGENT)

    def run_chat(self, *arguments: str, stdin: str | None = None, **keywords: Any) -> tuple[int, str, str]:
        """Run it to its end: status, standard output, standard error."""
        command = chat_command(self.gateway, self.folder, *arguments, **keywords)
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, **given)
        return done.returncode, done.stdout, done.stderr

    def test_questions(self) -> None:
        """A question, asked or piped, is answered on the standard output; the status tells how it went."""
        self.assertEqual(self.run_chat("say", "hello"), (0, "hello\n", ""))
        self.assertEqual(self.run_chat(stdin="say piped\n"), (0, "piped\n", ""))
        status, out, err = self.run_chat("fail")
        self.assertEqual((status, out.strip(), err), (1, "I was about to", "no answer: the model is out of order\n"))
        self.assertIn("say piped", self.run_chat("--history", "6")[1])
        self.assertEqual(self.run_chat("--sessions")[1].split()[-1], "main")
        self.assertEqual(self.run_chat("--delete")[0], 0)
        self.assertEqual(self.run_chat("--delete")[0], 1)

    def test_mistakes(self) -> None:
        """What cannot work is one line, and the token is in none of them."""
        status, _, err = self.run_chat(stdin="")
        self.assertEqual((status, err), (2, "anp-chat: there is nothing to say\n"))
        status, _, err = self.run_chat("hi", url="http://127.0.0.1:1/")
        self.assertEqual((status, err.count("\n")), (1, 1))
        self.assertEqual(self.run_chat("hi", url="http://assistant.example.com/")[0], 2)
        other = self.folder / "other.token"
        other.write_text("wrong")
        other.chmod(0o600)
        status, _, err = self.run_chat("hi", f"--token-file={other}")
        self.assertEqual((status, err), (1, "anp-chat: the token is not valid\n"))
        self.assertNotIn(self.gateway.token, self.gateway.log())

    def test_lostConnection(self) -> None:
        """A connection that is lost in the middle costs nothing of the answer, and nothing is doubled."""
        relay = self.relay(self.gateway.port)
        port = relay.line()
        command = chat_command(self.gateway, self.folder, "count", "60", url=f"http://127.0.0.1:{port}/")
        program = self.start_program(*command, name="chat")
        seen = self.until(program, " 3 ")
        relay.end()
        wait_until(lambda: "connecting again" in program.log(), "it is noticed")
        self.relay(self.gateway.port, port)
        seen += self.until(program, "60 \n")
        self.assertEqual((program.wait(), seen.strip()), (0, COUNTED))

    def relay(self, *ports: int | str) -> Program:
        """Put a relay before a port, itself on another."""
        return self.start_program(sys.executable, str(RELAY), *map(str, ports), name="relay")

    def until(self, program: Program, text: str) -> str:
        """Read the standard output until something comes."""
        seen = ""

        def look() -> bool:
            nonlocal seen
            if readable(program.process.stdout, 0.1):
                assert program.process.stdout is not None
                seen += os.read(program.process.stdout.fileno(), 65536).decode()
            return text in seen

        wait_until(look, f"{text!r} is written")
        return seen

    def test_terminal(self) -> None:
        """At a terminal it is a conversation: Ctrl-C stops the answer, and without one the program."""
        keyboard = Keyboard(chat_command(self.gateway, self.folder, "--session=talk"))
        self.addCleanup(keyboard.end)
        keyboard.wait("> ")
        keyboard.type("say hello\n")
        keyboard.wait("hello\n> ")
        keyboard.type("count 500\n")
        keyboard.wait(" 4 ")
        keyboard.process.send_signal(signal.SIGINT)
        keyboard.wait("stopped")
        keyboard.type("/sessions\n")
        keyboard.wait("talk")
        keyboard.type("/history 1\n")
        keyboard.wait("assistant, cancelled:")
        keyboard.process.send_signal(signal.SIGINT)
        self.assertEqual(keyboard.process.wait(20), 130)
        self.assertNotIn("Traceback", keyboard.shown)

    def test_stopped(self) -> None:
        """Ctrl-C stops one question, too; what came of the answer is there."""
        program = self.start_program(*chat_command(self.gateway, self.folder, "count", "500"), name="chat")
        self.until(program, " 3 ")
        program.signal(signal.SIGINT)
        self.assertEqual(program.wait(), 130)
        self.assertIn("stopped", program.log())
