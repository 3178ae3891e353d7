"""
RFC 6455, case by case, said by a bare socket and by two libraries: through the tunnel each of them
hears what the case asks for, and what uvicorn does otherwise is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.harness import EndToEnd, free_port, listening, wait_until
from tests.test_end_to_end import Pair
from tests.websocket_clients import BINARY, CLOSE, FIN, PING, PONG, SPEAKERS, TEXT, BareSpeaker, CannotSay, Speaker

Frames = tuple[tuple[int, bytes], ...]

RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10

#: How a connection ended that ended without a close frame.
CUT = -1


@dataclass(frozen=True)
class Case:
    """
    What a client says, and what it hears then.

    @ivar frames: first bytes and payloads.
    @ivar messages: what comes back, whatever the fragments.
    @ivar pongs: answers to pings, which may come between the messages.
    @ivar close: the code that the server closes with; 0 if there is none in its close.
        Without it the client closes with 1000, which is echoed.
    """

    name: str
    frames: Frames
    messages: tuple[tuple[int, bytes], ...] = ()
    pongs: tuple[bytes, ...] = ()
    close: int | None = None


@dataclass
class Heard:
    """What a client heard."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: int = CUT


def pieces(kind: int, *parts: bytes, between: Frames = ()) -> Frames:
    """A message in fragments, with frames of another kind between any two."""
    frames: list[tuple[int, bytes]] = []
    for number, part in enumerate(parts):
        frames.append(((kind if number == 0 else 0) | (FIN if number == len(parts) - 1 else 0), part))
        frames += between if number < len(parts) - 1 else ()
    return tuple(frames)


def one_by_one(data: bytes) -> list[bytes]:
    """A list of single bytes."""
    return [data[at : at + 1] for at in range(len(data))]


def closing(code: int, reason: bytes = b"") -> Frames:
    """A close frame."""
    return ((FIN | CLOSE, code.to_bytes(2, "big") + reason),)


def echoed(name: str, kind: int, *parts: bytes, **others: Any) -> Case:
    """A message that comes back whole."""
    return Case(name, pieces(kind, *parts), ((kind, b"".join(parts)),), **others)


WORLD = "h\u00e9llo w\u00f6rld \u4e2d\u6587 \U0001f600".encode()
LARGE = bytes(range(256)) * 4096

CASES = [
    # 5.2, 5.6: data frames of every size of length
    *(echoed(f"text of {size} bytes", TEXT, b"*" * size) for size in (0, 1, 125, 126, 127, 65535, 65536)),
    *(echoed(f"binary of {size} bytes", BINARY, b"\xfe" * size) for size in (0, 125, 126, 65535, 65536)),
    echoed("binary of a megabyte", BINARY, LARGE),
    echoed("every byte", BINARY, bytes(range(256))),
    Case("three messages at once", ((FIN | TEXT, b"a"), (FIN | BINARY, b"b"), (FIN | TEXT, b"")),
         ((TEXT, b"a"), (BINARY, b"b"), (TEXT, b""))),
    # 5.4: fragments
    echoed("text in two", TEXT, b"one ", b"two"),
    echoed("text byte by byte, characters cut", TEXT, *one_by_one(WORLD)),
    echoed("binary in a hundred", BINARY, *([b"x" * 1000] * 100)),
    echoed("fragments that are empty", BINARY, b"", b"", b""),
    echoed("an empty one first", TEXT, b"", b"x"),
    echoed("an empty one last", TEXT, b"x", b""),
    Case("a ping between fragments", pieces(TEXT, b"a", b"b", b"c", between=((FIN | PING, b"now"),)),
         ((TEXT, b"abc"),), (b"now", b"now")),
    Case("a pong between fragments", pieces(BINARY, b"a", b"b", between=((FIN | PONG, b"now"),)), ((BINARY, b"ab"),)),
    # 5.5.2, 5.5.3: ping and pong
    *(Case(f"ping of {size} bytes", ((FIN | PING, b"p" * size),), (), (b"p" * size,)) for size in (0, 1, 125)),
    Case("ping that is no text", ((FIN | PING, b"\x00\xff\xfe\x80"),), (), (b"\x00\xff\xfe\x80",)),
    Case("ten pings at once", ((FIN | PING, b"x"),) * 10, (), (b"x",) * 10),
    Case("pong nobody asked for", ((FIN | PONG, b"unasked"), (FIN | TEXT, b"on")), ((TEXT, b"on"),)),
    # 8.1: UTF-8
    echoed("every length of character", TEXT, "\0\x7f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff".encode()),
    echoed("no characters, but valid", TEXT, "\ufffe\uffff\ufdd0".encode()),
    *(
        Case(f"bad text: {what}", ((FIN | TEXT, data),), close=1007)
        for what, data in {
            "a byte that never occurs": b"\xff",
            "a continuation alone": b"\x80",
            "overlong": b"\xc0\xaf",
            "overlong of three": b"\xe0\x80\xaf",
            "a surrogate": b"\xed\xa0\x80",
            "above all planes": b"\xf4\x90\x80\x80",
            "cut at the end": b"ok \xe2\x82",
            "after good text": "\u03ba\u1f79\u03c3\u03bc\u03b5".encode() + b"\xed\xa0\x80edited",
        }.items()
    ),
    Case("bad text in a later fragment", ((TEXT, b"ok"), (0, b"\xff")), close=1007),
    Case("cut text in fragments", ((TEXT, b"\xe2"), (FIN, b"\x82")), close=1007),
    # 5.5.1, 7.4: close
    Case("close without a code", ((FIN | CLOSE, b""),), close=0),
    *(
        Case(f"close with {code}", closing(code, b"because"), close=code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    ),
    *(
        Case(f"close with {code}, which nobody may", closing(code), close=1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    Case("close with the longest reason", closing(1000, b"r" * 123), close=1000),
    Case("close of one byte", ((FIN | CLOSE, b"\x03"),), close=1002),
    Case("close with a reason that is no text", closing(1000, b"\xff"), close=1007),
    Case("a message behind a close", (*closing(1000), (FIN | TEXT, b"more")), close=1000),
    Case("a ping behind a close", (*closing(1000), (FIN | PING, b"more")), close=1000),
    Case("close within a message", ((TEXT, b"begun"), *closing(1000)), close=1000),
    # 5.2, 5.4, 5.5: what is no frame
    Case("RSV1", ((FIN | RSV1 | TEXT, b"x"),), close=1002),
    Case("RSV2", ((FIN | RSV2 | BINARY, b"x"),), close=1002),
    Case("RSV3 on a ping", ((FIN | RSV3 | PING, b"x"),), close=1002),
    *(Case(f"opcode {code}", ((FIN | code, b"x"),), close=1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    Case("a ping too large", ((FIN | PING, b"x" * 126),), close=1002),
    Case("a close too large", closing(1000, b"x" * 124), close=1002),
    Case("a ping in fragments", ((PING, b"x"), (FIN, b"y")), close=1002),
    Case("continuation of nothing", ((FIN, b"x"),), close=1002),
    Case("continuation of nothing, open", ((0, b"x"),), close=1002),
    Case("a message within one", ((TEXT, b"x"), (FIN | TEXT, b"y")), close=1002),
]  # fmt: skip

#: Frames that a library does not send, whatever it is asked.
UNSPEAKABLE = {
    "bare": 0,
    "websockets": 16,
    "websocket-client": 10,
}


def play(speaker: Speaker, case: Case) -> Heard:
    """Say what a case says, and listen until the end."""
    heard = Heard()
    parts: list[bytes] = []
    kind = 0

    def hear() -> bool:
        nonlocal kind
        first, data = speaker.hear()
        opcode = first & 0x0F
        if opcode == CLOSE:
            heard.close = int.from_bytes(data[:2], "big")
            return False
        if opcode == PONG:
            heard.pongs.append(data)
        elif opcode in (0, TEXT, BINARY):
            kind = opcode or kind
            parts.append(data)
            if first & FIN:
                heard.messages.append((kind, b"".join(parts)))
                parts.clear()
        return True

    try:
        for first, payload in case.frames:
            speaker.say(first, payload)
        while len(heard.messages) < len(case.messages) or len(heard.pongs) < len(case.pongs):
            if not hear():
                return heard
        if case.close is None:
            speaker.say(FIN | CLOSE, b"\x03\xe8")
        while hear():
            pass
    except (EOFError, ConnectionError):
        pass
    return heard


def run(port: int, make: Callable[..., Speaker], target: str = "/echo") -> tuple[dict[str, Heard], int]:
    """
    Run all cases that a client can say.

    @return: what it heard by case, and how many it cannot say.
    """
    found: dict[str, Heard] = {}
    unspeakable = 0
    for case in CASES:
        speaker = make(port, target)
        try:
            found[case.name] = play(speaker, case)
        except CannotSay:
            unspeakable += 1
        finally:
            speaker.end()
    return found, unspeakable


class CaseTests(Pair):
    """Every case, by every client."""

    def check(self, name: str) -> None:
        """Run the cases and compare."""
        found, unspeakable = run(self.gateway.port, SPEAKERS[name], f"/echo?name={name}")
        for case in CASES:
            if case.name in found:
                expected = Heard(list(case.messages), list(case.pongs), 1000 if case.close is None else case.close)
                self.assertEqual(found[case.name], DEVIATING.get(case.name, lambda one: one)(expected), case.name)
        self.assertEqual(unspeakable, UNSPEAKABLE[name])
        # Nothing that is no message reaches the application, by whatever way.
        notes = [note["received"] for note in self.happened()["notes"] if note.get("name") == name]
        self.assertEqual(sum(notes), sum(len(case.messages) for case in CASES if case.name in found))

    def test_bare(self) -> None:
        """By hand."""
        self.check("bare")

    def test_websockets(self) -> None:
        """By C{websockets}."""
        self.check("websockets")

    def test_websocket_client(self) -> None:
        """By C{websocket-client}."""
        self.check("websocket-client")


def closes_with(code: int) -> Callable[[Heard], Heard]:
    """The same, but for the code."""
    return lambda heard: Heard(heard.messages, heard.pongs, code)


#: Where the tunnel does otherwise than the case asks for; docs/reference/websockets.md says why.
DEVIATING = {"close with 1014": closes_with(1002)}

#: Where uvicorn does otherwise than the case asks for: what it closes with. It looks at a text when it is complete,
#: and takes a close within a message for a breach.
UVICORN = {"bad text in a later fragment": CUT, "close within a message": 1002}


class UvicornTests(EndToEnd):
    """The same cases without a tunnel."""

    def test_deviations(self) -> None:
        """What uvicorn does otherwise is known."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "lab:app", f"--port={port}", "--log-level=critical"]
        self.start_program(*command, name="uvicorn")
        wait_until(lambda: listening(port), "uvicorn listens")
        found, _ = run(port, partial(BareSpeaker, patience=1))
        differs = {}
        for case in CASES:
            expected = Heard(list(case.messages), list(case.pongs), 1000 if case.close is None else case.close)
            if found[case.name] != expected:
                differs[case.name] = found[case.name].close
        self.assertEqual(differs, UVICORN)
