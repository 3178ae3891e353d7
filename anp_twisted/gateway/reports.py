"""
What the first process of a gateway and its workers say to each other, in lines over pipes.

A worker gets its L{Assignment} as the first line on standard input, so that the
token is neither in its arguments nor in its environment, and then orders. It
reports in JSON on a descriptor of its own. Its log goes to standard error.
"""

from __future__ import annotations

import base64
import pickle
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from anp_twisted.config.tables import GatewaySettings

REPORTS: Final = 3
"""The descriptor that a worker reports on; the listening sockets follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """
    What a worker is to do.

    @ivar number: which worker it is, from 1.
    @ivar among: how many there are.
    @ivar settings: the same as those of the first process.
    @ivar token: what receivers show.
    @ivar family: the address family of the sockets.
    @ivar public: the descriptors of the public listening sockets, that of worker 1 first.
    @ivar links: the same for those that are for receivers only; may be empty.
    """

    number: int
    among: int
    settings: GatewaySettings
    token: str
    family: int
    public: tuple[int, ...]
    links: tuple[int, ...]


def assignment_line(assignment: Assignment) -> bytes:
    """
    @return: the first line for a worker.
    """
    # Settings are values of several kinds, some of which no JSON knows; the pipe is our own, at both ends.
    return base64.b64encode(pickle.dumps(assignment)) + b"\n"


def read_assignment(line: bytes) -> Assignment:
    """
    @param line: from the process that started this one, and from nobody else.
    """
    assignment = pickle.loads(base64.b64decode(line))
    assert isinstance(assignment, Assignment)
    return assignment


class Drain(msgspec.Struct, tag="drain", frozen=True):
    """Take nothing new, and end when nothing runs."""


class Hurry(msgspec.Struct, tag="hurry", frozen=True):
    """End at once."""


class Accept(msgspec.Struct, tag="accept", frozen=True):
    """
    Accept on the sockets of another worker, or no longer.

    @ivar socket: the number of that worker.
    """

    socket: int
    accepts: bool


class Show(msgspec.Struct, tag="show", frozen=True):
    """Report the figures."""


class Follow(msgspec.Struct, tag="follow", frozen=True):
    """
    Go over to other settings, which the first process has found to be good.

    @ivar packed: see L{follow}.
    """

    packed: str

    def settings(self) -> GatewaySettings:
        """
        @return: the settings; only for a command of the process that started this one.
        """
        settings = pickle.loads(base64.b64decode(self.packed))
        assert isinstance(settings, GatewaySettings)
        return settings


def follow(settings: GatewaySettings) -> Follow:
    """
    @return: the command that lets a worker go over to them.
    """
    return Follow(base64.b64encode(pickle.dumps(settings)).decode("ascii"))


Command = Drain | Hurry | Accept | Show | Follow


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """
    The worker accepts.

    @ivar url: where callers reach the gateway.
    """

    url: str


class Leaving(msgspec.Struct, tag="leaving", frozen=True):
    """The worker accepts no more, and ends when nothing runs; nobody need have told it."""


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """
    The worker cannot do its work, and ends.

    @ivar text: one line for the operator.
    """

    text: str


class Figures(msgspec.Struct, tag="figures", frozen=True):
    """
    What goes on in a worker.

    @ivar condition: C{ok}, C{overloaded} or C{draining}.
    """

    condition: str
    stats: dict[str, Any]


Report = Ready | Leaving | Failed | Figures

_encoder: Final = msgspec.json.Encoder()
_reports: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)
_commands: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)


def line_of(said: Report | Command) -> bytes:
    """
    @return: the line that says it.
    """
    return _encoder.encode(said) + b"\n"


def read_report(line: bytes) -> Report | None:
    """
    @return: the report, or C{None} for a line that is none.
    """
    try:
        return _reports.decode(line)
    except msgspec.DecodeError:
        return None


def read_command(line: bytes) -> Command | None:
    """
    @return: the command, or C{None} for a line that is none.
    """
    try:
        return _commands.decode(line)
    except msgspec.DecodeError:
        return None
