"""Tests for L{anp_twisted.assistant.chat.commands}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.chat.commands import HELP, NAMES, Line, count, read


class ReadTests(SynchronousTestCase):
    """What a line means."""

    def test_messages(self) -> None:
        """What does not begin with a slash is said as it is; two slashes say one."""
        lines = [" hello  there ", "//etc/passwd", "a /help", "", "  "]
        said = [
            Line("say", ("hello  there",)),
            Line("say", ("/etc/passwd",)),
            Line("say", ("a /help",)),
            Line(""),
            Line(""),
        ]
        self.assertEqual([read(line) for line in lines], said)

    def test_commands(self) -> None:
        """A command comes with its words."""
        self.assertEqual(read("/session  work "), Line("session", ("work",)))
        self.assertEqual(read("/history 5"), Line("history", ("5",)))

    def test_mistakes(self) -> None:
        """A mistake is named, and nothing is said to the assistant."""
        for line in ("/nothing", "/session", "/delete", "/", "/ "):
            self.assertEqual(read(line).command, "unknown", line)

    def test_help(self) -> None:
        """The help names every command."""
        self.assertEqual([name for name in NAMES if f"/{name}" not in HELP], [])

    def test_count(self) -> None:
        """A number that is none, or too large, is another one."""
        counts = [count(read(f"/history {word}"), 20) for word in ("", "5", "0", "99999999", "x", "-1", "\u0663")]
        self.assertEqual(counts, [20, 5, 1, 200, 20, 20, 20])
