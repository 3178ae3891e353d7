"""Rules of L{anp_twisted.access}."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.access import LONGEST, AccessRecord, format_line, format_time, quoted


def record(**changes: object) -> AccessRecord:
    """A record, with changes."""
    values: dict[str, object] = {
        "time": 1771927200.1234, "request_id": "r-1", "caller": "192.0.2.1", "method": "GET", "target": "/a?b=c",
        "status": 200, "sent": 11, "received": 0, "duration": 0.0015, "receiver": "one", "source": "app",
    }  # fmt: skip
    return AccessRecord(**{**values, **changes})  # type: ignore[arg-type]


NASTY = st.text(alphabet=st.characters(codec=None)) | st.sampled_from(
    ["\x1b[2J" * 900, "\n\r" * 900, "\u202e" * 900, "\U0001f600" * 900, '"\\' * 900, "a" * 10_000, "\ud800"]
)


class LineTests(SynchronousTestCase):
    """One request, one line."""

    def test_plain(self) -> None:
        """The line, as the reference shows it."""
        self.assertEqual(
            format_line(record()),
            '{"time":"2026-02-24T10:00:00.123Z","id":"r-1","caller":"192.0.2.1","method":"GET","target":"/a?b=c",'
            '"status":200,"sent":11,"received":0,"duration":0.001500,"receiver":"one","source":"app"}',
        )

    @given(NASTY, NASTY, NASTY, NASTY)
    def test_nasty(self, target: str, method: str, receiver: str, caller: str) -> None:
        """Whatever a stranger wrote, the line is printable ASCII, JSON, and within the cap."""
        line = format_line(record(target=target, method=method, receiver=receiver, caller=caller))
        self.assertTrue(line.isascii() and line.isprintable())
        self.assertLess(len(line), LONGEST)
        self.assertEqual(json.loads(line)["status"], 200)

    def test_largestNumbers(self) -> None:
        """With every text too long and numbers beyond reason, the line is within the cap."""
        huge = dict.fromkeys(("request_id", "caller", "method", "target", "receiver", "source"), "\u202e" * 5000)
        line = format_line(record(**huge, sent=2**64, received=2**64, duration=1e12))
        self.assertLess(len(line), LONGEST)

    @given(st.text(max_size=20))
    def test_roundTrip(self, text: str) -> None:
        """A text that fits is read back as it was."""
        self.assertEqual(json.loads(quoted(text, 400)), text)

    def test_cut(self) -> None:
        """A text that is too long is cut before an escape, and shows it."""
        self.assertEqual(quoted("a" * 10, 10), '"aaaaaaaaaa"')
        self.assertEqual(quoted("a" * 11, 10), '"aaaaaaa..."')
        self.assertEqual(quoted("aaaa\n\n\n\n", 10), '"aaaa\\n..."')
        self.assertEqual(quoted("\u202e\u202e", 10), '"\\u202e..."')

    def test_time(self) -> None:
        """UTC, with milliseconds also where there are none."""
        self.assertEqual(format_time(0.0), "1970-01-01T00:00:00.000Z")
