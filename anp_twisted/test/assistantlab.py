"""
An assistant gateway in memory: agents, clients, time and disk are the test's.

The files are real and in the test's own folder; when a write comes back is up to
the test. Everything between the sockets and the files is the real thing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.events import AgentEvent, Context, Failed, Final, TextDelta, Turn
from anp_twisted.assistant.api import ChatApi
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.connection import Connection
from anp_twisted.assistant.connections import Connections, MethodCall
from anp_twisted.assistant.conversations import Conversations
from anp_twisted.assistant.errors import Overloaded
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.keyring import Keyring
from anp_twisted.assistant.records import Codec
from anp_twisted.assistant.sessions import Sessions
from anp_twisted.assistant.tokens import Principal
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.networks import caller_key
from anp_twisted.rates import Rate
from anp_twisted.test.wires import Turns
from anp_twisted.transports.caller import CallerSocket
from anp_twisted.wire import v2

OWN_TOKEN = "operator-token"
EPOCH = 1_800_000_000.0


class Disk:
    """
    Runs what may block: at once, or when the test says so.

    @ivar held: whether it waits for L{release}.
    """

    def __init__(self) -> None:
        self.held = False
        self._waiting: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], Any], /) -> Deferred[Any]:
        """Stand in for a thread."""
        if not self.held:
            return maybeDeferred(work)
        done: Deferred[Any] = Deferred()
        self._waiting.append(lambda: cast(None, maybeDeferred(work).chainDeferred(done)))
        return done

    def release(self) -> None:
        """Do what was asked for until now."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one()


class RunOfTest:
    """
    A run whose events the test says.

    @ivar aborted: whether it was.
    """

    def __init__(self, turn: Turn, context: Context, sink: Callable[[AgentEvent], None]) -> None:
        self.turn = turn
        self.context = context
        self.aborted = False
        self.say = sink

    def abort(self) -> None:
        """Say that it was aborted."""
        self.aborted = True
        self.say(Failed("cancelled", "the run was aborted"))

    def answer(self, *parts: str) -> None:
        """Say the whole answer."""
        for part in parts:
            self.say(TextDelta(part))
        self.say(Final("".join(parts)))


class AgentsOfTest:
    """
    Takes every turn and leaves it to the test.

    @ivar runs: all that were begun.
    @ivar full: whether no more are taken.
    """

    def __init__(self) -> None:
        self.runs: list[RunOfTest] = []
        self.full = False

    def run(self, turn: Turn, context: Context, sink: Callable[[AgentEvent], None]) -> RunOfTest:
        """Begin a turn."""
        if self.full:
            raise Overloaded
        self.runs.append(RunOfTest(turn, context, sink))
        return self.runs[-1]


class SocketOfTest:
    """
    A client's socket.

    @ivar sent: what the client got, as JSON.
    @ivar takes: messages it takes before it is behind; C{None} for all.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.sizes: list[int] = []
        self.takes: int | None = None
        self.reading = True
        self.closed: tuple[int, bytes] | None = None
        self.aborted = False
        self.owner: Connection

    def send_part(self, kind: int, data: bytes, last: bool) -> None:
        """Take a message."""
        assert kind == v2.TEXT and last
        assert self.closed is None, "a message behind the close"
        self.sent.append(json.loads(data))
        self.sizes.append(len(data))
        if self.takes is not None:
            self.takes -= 1
            if self.takes <= 0:
                self.owner.caller_paused()

    def close(self, code: int, reason: bytes = b"") -> None:
        """Note the goodbye."""
        if self.closed is None:
            self.closed = (code, reason)

    def abort(self) -> None:
        """Note that it was cut."""
        self.aborted = True
        self.owner.socket_gone()

    def pause_reading(self) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read on."""
        self.reading = True

    def look(self, now: float) -> None:
        """Live."""


class Client:
    """
    One client.

    @ivar socket: what it got.
    """

    def __init__(self, lab: Lab, principal: Principal | None, address: str) -> None:
        self.lab = lab
        self.socket = SocketOfTest()
        self.connection = Connection(lab.connections, caller_key(address), principal)
        self.connection.socket = cast(CallerSocket, self.socket)
        self.socket.owner = self.connection
        lab.connections.add(self.connection)
        self._ids = count(1)

    def send(self, data: object) -> None:
        """Send a message: bytes as they are, anything else as JSON."""
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.connection.part_received(v2.TEXT, raw, True)
        self.lab.turns.end()

    def ask(self, method: str, **params: Any) -> int:
        """Call a method and do not wait."""
        number = next(self._ids)
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def answered(self, number: int) -> Any:
        """The answer of a call, C{None} if there is none yet."""
        return next((one for one in self.socket.sent if isinstance(one, dict) and one.get("id") == number), None)

    def call(self, method: str, **params: Any) -> Any:
        """Call a method and return its result."""
        answer = self.answered(self.ask(method, **params))
        assert answer is not None, "no answer"
        assert "result" in answer, answer
        return answer["result"]

    def code(self, method: str, **params: Any) -> int:
        """Call a method and return the code of its error."""
        answer = self.answered(self.ask(method, **params))
        assert answer is not None, "no answer"
        number: int = answer["error"]["code"]
        return number

    def events(self, *kinds: str) -> list[Any]:
        """The events it got, of some types or of all."""
        told = [one["params"] for one in self.socket.sent if isinstance(one, dict) and one.get("method") == "event"]
        return [one for one in told if not kinds or one["type"] in kinds]


class Lab:
    """One gateway."""

    def __init__(self, folder: str, limits: Limits = DEFAULT_LIMITS, codec: Codec | None = None) -> None:
        self.folder = folder
        self.clock = Clock()
        self.turns = Turns()
        self.disk = Disk()
        self.agents = AgentsOfTest()
        self._ids = count(1)
        salt = os.urandom(3).hex()
        self.around = Around(
            clock=self.clock,
            soon=self.turns.soon,
            wall=lambda: EPOCH + self.clock.seconds(),
            new_id=lambda: f"{next(self._ids):06x}{salt}",
            off=self.disk,
            limits=limits,
        )
        self.journal = Journal(self.disk)
        self.sessions = Sessions(self.around, os.path.join(folder, "sessions"), self.journal, codec or Codec())
        self.sessions.load()
        self.conversations = Conversations(self.around, self.sessions, self.agents, default_agent="default")
        self.connections = Connections(self.around, Rate(100, 60))
        self.keyring = Keyring(
            self.around, self.journal, self.connections, state_dir=folder, own=os.path.join(folder, "own.token")
        )
        self.keyring.load(OWN_TOKEN)
        self.status = "ok"
        api = ChatApi(self.conversations, lambda: self.status)
        self.methods: dict[str, MethodCall] = {**api.methods(), **self.keyring.methods()}
        self.connections.methods = self.methods

    def client(self, name: str | None = "bob", role: str = "user", address: str = "192.0.2.7") -> Client:
        """Connect somebody, by a token of its own; C{None} is nobody."""
        if name is None:
            return Client(self, None, address)
        token, _ = self.keyring.tokens.create(name, role, self.around.wall())
        return Client(self, Principal(name, role, token.id), address)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([1.0] * int(seconds) + [seconds % 1])
        self.turns.end()


class AssistantTests(SynchronousTestCase):
    """Gives each test a gateway."""

    limits = DEFAULT_LIMITS

    def setUp(self) -> None:
        """Make it."""
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder, mode=0o700)
        self.lab = Lab(self.folder, self.limits)

    def again(self, **limits: Any) -> Lab:
        """Start another gateway on the same files, as after the end of the process."""
        self.lab = Lab(self.folder, replace(self.limits, **limits))
        return self.lab

    def with_limits(self, **limits: Any) -> Lab:
        """Start over with other caps."""
        return self.again(**limits)

    def files(self) -> list[str]:
        """The paths of the sessions' files."""
        folder = os.path.join(self.folder, "sessions")
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))
