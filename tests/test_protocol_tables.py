"""
The tables of C{docs/protocol} are those of the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import Code
from anp_twisted.limits import DEFAULT_LIMITS, KIB, MIB
from anp_twisted.session import connection, stream
from anp_twisted.wire import v2

FOLDER = Path(__file__).parent.parent / "docs" / "protocol"


def tables(name: str, title: str) -> list[list[str]]:
    """The rows of the first table under a title of a document, without its head."""
    text = (FOLDER / name).read_text("utf-8")
    part = re.split(rf"^#+ {re.escape(title)}$", text, flags=re.MULTILINE)[1]
    found = re.search(r"^\|.*(?:\n\|.*)+", part, flags=re.MULTILINE)
    assert found is not None, f"no table under {title}"
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found[0].splitlines()]
    return [rows[0], *rows[2:]]


def matrix(title: str) -> dict[tuple[str, str], str]:
    """A table of the state machines: state and input to what follows, without the dashes."""
    head, *rows = tables("state-machines.md", title)
    pairs = {(row[0], column): cell for row in rows for column, cell in zip(head[1:], row[1:], strict=True)}
    return {pair: cell for pair, cell in pairs.items() if cell != "-"}


def named(table: Iterable[tuple[tuple[Enum, Enum], Enum]]) -> dict[tuple[str, str], str]:
    """A table of the code, by names."""
    return {(state.name, happened.name): following.name for (state, happened), following in table}


class StateTableTests(SynchronousTestCase):
    """C{state-machines.md}"""

    def test_connection(self) -> None:
        """Every pair that the code knows, and no other."""
        self.assertEqual(matrix("Connection"), named(connection._NEXT.items()))

    def test_half(self) -> None:
        """The same for one direction of a stream."""
        self.assertEqual(matrix("One direction of a stream"), named(stream.ADVANCE.items()))

    def test_phase(self) -> None:
        """And for the stream as a whole."""
        known = {(phase.name, following.name): "yes" for phase, all_ in stream.FOLLOWS.items() for following in all_}
        self.assertEqual(matrix("A stream"), known)

    def test_every_state_has_a_row(self) -> None:
        """None is left out."""
        for title, states in (
            ("Connection", connection.State),
            ("One direction of a stream", stream.Half),
            ("A stream", stream.Phase),
            ("The turn of a stream", stream.Place),
        ):
            self.assertEqual([row[0] for row in tables("state-machines.md", title)[1:]], [one.name for one in states])


class TextTests(SynchronousTestCase):
    """C{anpx.md}"""

    def test_codes(self) -> None:
        """Numbers and names."""
        self.assertEqual(
            [(int(row[0]), row[1]) for row in tables("anpx.md", "Codes")[1:]], [(one.value, one.name) for one in Code]
        )

    def test_frames(self) -> None:
        """Types, the tags of their fields, where they go, and what they may carry."""
        for row in tables("anpx.md", "Frames")[1:]:
            kind = v2.Kind(int(row[0], 16))
            self.assertEqual(row[1], kind.name)
            self.assertEqual(int(row[3][:4], 16), v2.META_TAG[kind])
            rule = v2._RULES[kind]
            self.assertEqual(("stream" in row[2], "0" in row[2]), (True in rule.places, False in rule.places))
            self.assertEqual((row[4] == "may", row[5] == "may"), (v2.BODY in rule.known, v2.FLAG_END in rule.flags))
        self.assertEqual(len(tables("anpx.md", "Frames")) - 1, len(v2.Kind))

    def caps(self, title: str) -> list[int]:
        """The numbers of a table of caps."""
        units = {"KiB": KIB, "MiB": MIB, "s": 1}
        numbers = [row[1].split() for row in tables("anpx.md", title)[1:]]
        return [int(number) * units[unit[0]] if unit else int(number) for number, *unit in numbers]

    def test_caps_of_version_1(self) -> None:
        """The numbers are the defaults."""
        limits = DEFAULT_LIMITS
        sizes = [limits.v1_frame, limits.v1_part, limits.v1_meta]
        counts = [limits.v1_chunks, limits.v1_assemblies, int(limits.v1_assembly)]
        rest = [limits.v1_unread, limits.v1_held, limits.websocket_controls]
        self.assertEqual(self.caps("Caps of version 1"), sizes + counts + rest)

    def test_caps(self) -> None:
        """The numbers are the defaults."""
        limits = DEFAULT_LIMITS
        self.assertEqual(
            self.caps("Caps"),
            [
                *(limits.frame, limits.frame_fields, limits.head, limits.headers, limits.reason * 8),
                *(
                    limits.informational,
                    limits.streams,
                    limits.remembered_streams,
                    limits.control_backlog,
                    limits.offences,
                ),
            ],
        )
