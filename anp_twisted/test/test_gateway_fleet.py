"""Tests for L{anp_twisted.gateway.fleet}: the processes are stand-ins, what they are told and say is not."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import workforce
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import ANPError
from anp_twisted.gateway import fleet as module
from anp_twisted.gateway.fleet import Base, Fleet
from anp_twisted.gateway.reports import (
    REPORTS,
    Accept,
    Assignment,
    Command,
    Drain,
    Failed,
    Figures,
    Hurry,
    Leaving,
    Ready,
    Report,
    Show,
    line_of,
    read_assignment,
    read_command,
)
from anp_twisted.workers import Crew

STATS: dict[str, Any] = {
    "requests": {"running": 1},
    "connections": 2,
    "receivers_refused": 0,
    "callers_refused": {},
    "receivers": [],
}


class Socket:
    """Listens nowhere."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = False

    def fileno(self) -> int:
        """Any number."""
        return self.number

    def close(self) -> None:
        """End."""
        self.closed = True


class Process:
    """A worker of the test."""

    pid = 4242

    def __init__(self, protocol: Any, arguments: list[str], pipes: dict[int, Any]) -> None:
        self.protocol = protocol
        self.arguments = arguments
        self.pipes = pipes
        self.lines: list[bytes] = []
        self.killed = False
        protocol.makeConnection(self)

    def writeToChild(self, descriptor: int, data: bytes) -> None:
        """Hear something."""
        assert descriptor == 0
        self.lines.append(data)

    def signalProcess(self, name: str) -> None:
        """Be killed."""
        assert name == "KILL"
        self.killed = True

    @property
    def assignment(self) -> Assignment:
        """What it was to do."""
        return read_assignment(self.lines[0])

    def told(self) -> list[Command | None]:
        """What it was told since it was asked last."""
        found = [read_command(line) for line in self.lines[1:]]
        del self.lines[1:]
        return found

    def say(self, report: Report) -> None:
        """Report."""
        self.protocol.childDataReceived(REPORTS, line_of(report))

    def end(self, signal: int | None = None) -> None:
        """Be gone."""
        reason = ProcessDone(0) if signal is None else ProcessTerminated(signal=signal)
        self.protocol.processEnded(Failure(reason))


class Reactor(Clock):
    """Time, and processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], **keywords: Any) -> Process:
        """Start one."""
        process = Process(protocol, args, keywords["childFDs"])
        self.processes.append(process)
        return process


class FleetCase(SynchronousTestCase):
    """Has a gateway of two workers."""

    def setUp(self) -> None:
        """Start it."""
        self.reactor = Reactor()
        self.sockets: list[Socket] = []
        self.patch(module, "bind_group", self.bind)
        self.patch(workforce, "reapAllProcesses", lambda: None)
        self.written: list[str] = []
        self.announced: list[str] = []
        self.failures: list[ANPError] = []
        settings = GatewaySettings(workers=2, wss_port=1)
        base = Base(
            reactor=self.reactor,
            token="the-token",
            write=self.written.append,
            announce=self.announced.append,
            give_up=self.failures.append,
        )
        self.fleet = Fleet(Crew(2, settings.limits(), draw=lambda: 0.5), settings, base)
        self.fleet.privilegedStartService()
        self.fleet.startService()
        self.one, self.two = self.reactor.processes

    def bind(self, host: str, port: int, count: int) -> list[Socket]:
        """Make sockets."""
        group = [Socket(100 + len(self.sockets) + number) for number in range(count)]
        self.sockets += group
        return group

    def serve(self) -> None:
        """Let both accept."""
        for process in (self.one, self.two):
            process.say(Ready("http://h"))


class LifeTests(FleetCase):
    """Starting, dying, stopping."""

    def test_start(self) -> None:
        """Each worker gets every socket, and learns by its pipe alone what it is to do."""
        self.assertEqual([one.assignment.number for one in (self.one, self.two)], [1, 2])
        given = self.two.assignment
        self.assertEqual((given.among, given.token, given.family), (2, "the-token", socket.AF_INET))
        self.assertEqual((given.public, given.links), ((4, 5), (6, 7)))
        self.assertEqual([self.two.pipes[number] for number in (4, 5, 6, 7)], [100, 101, 102, 103])
        self.assertNotIn("the-token", " ".join(self.two.arguments))

    def test_killed(self) -> None:
        """The other one accepts for it until a new one does, which starts a little later."""
        self.serve()
        self.assertEqual(self.announced, ["http://h", "http://h"])
        self.one.end(signal=9)
        self.assertEqual(self.two.told(), [Accept(1, True)])
        self.assertEqual(len(self.reactor.processes), 2)
        self.reactor.advance(0.25)
        fresh = self.reactor.processes[2]
        self.assertEqual((fresh.assignment.number, self.two.told()), (1, []))
        fresh.say(Ready("http://h"))
        self.assertEqual(self.two.told(), [Accept(1, False)])

    def test_leaving(self) -> None:
        """One that leaves by itself is stood in for from then on."""
        self.serve()
        self.one.say(Leaving())
        self.assertEqual(self.two.told(), [Accept(1, True)])
        self.one.end()
        self.assertEqual(self.two.told(), [])

    def test_drain(self) -> None:
        """All are told, the sockets are closed at once, and it is over when the last one is gone."""
        self.serve()
        stopping = self.fleet.stopService()
        self.assertTrue(all(one.closed for one in self.sockets))
        self.assertEqual((self.one.told(), self.two.told()), ([Drain()], [Drain()]))
        self.one.say(Leaving())
        self.one.end()
        self.assertNoResult(stopping)
        self.assertEqual(self.two.told(), [])
        self.two.end()
        self.successResultOf(stopping)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_at_once(self) -> None:
        """A second wish to stop is passed on; who does not obey is killed."""
        self.serve()
        self.fleet.stopService()
        self.fleet.stop_at_once()
        self.assertEqual(self.one.told(), [Drain(), Hurry()])
        self.reactor.advance(self.fleet.limits.worker_margin)
        self.assertTrue(self.one.killed and self.two.killed)

    def test_cannot(self) -> None:
        """When no worker can do its work the gateway says why and ends."""
        for process in (self.one, self.two):
            process.say(Failed("the key is gone"))
            process.end()
        self.assertEqual([str(error) for error in self.failures], ["the key is gone"])


class WordsTests(FleetCase):
    """What workers say."""

    def test_log(self) -> None:
        """Lines are passed on whole, many at once; what a worker said last is not lost."""
        for piece in (b"one\ntw", b"o\n", b"three"):
            self.one.protocol.childDataReceived(2, piece)
        self.assertEqual(self.written, ["one", "two"])
        self.one.end()
        self.assertEqual(self.written, ["one", "two", "three"])

    def test_endless_line(self) -> None:
        """A line without end is cut."""
        for _ in range(10):
            self.one.protocol.childDataReceived(2, b"x" * 65536)
        self.one.protocol.childDataReceived(2, b"\n")
        self.assertLessEqual(len(self.written[0]), 2 * self.fleet.limits.worker_line)

    def test_nonsense(self) -> None:
        """A report that is none is ignored."""
        self.one.protocol.childDataReceived(REPORTS, b"nonsense\n")
        self.assertEqual((self.announced, self.failures), ([], []))

    def test_stats(self) -> None:
        """Every worker that accepts is asked; both answers make one."""
        self.serve()
        stats, condition = self.fleet.stats(), self.fleet.condition()
        self.assertEqual(self.one.told(), [Show(), Show()])
        for process in (self.one, self.two):
            process.say(Figures("ok", STATS))
            process.say(Figures("ok", STATS))
        self.assertEqual(self.successResultOf(stats)["requests"], {"running": 2})
        self.assertEqual(self.successResultOf(condition), "ok")

    def test_slow(self) -> None:
        """One that does not say in time is left out, as is one that dies."""
        self.serve()
        stats = self.fleet.stats()
        self.two.say(Figures("ok", STATS))
        self.assertNoResult(stats)
        self.reactor.advance(self.fleet.limits.worker_figures)
        self.assertEqual([one["worker"] for one in self.successResultOf(stats)["workers"]], [2])
        self.one.say(Figures("ok", STATS))
        stats = self.fleet.stats()
        self.one.end(signal=9)
        self.two.say(Figures("ok", STATS))
        self.assertEqual([one["worker"] for one in self.successResultOf(stats)["workers"]], [2])

    def test_starting(self) -> None:
        """Before any worker accepts nobody is asked."""
        self.assertEqual(self.successResultOf(self.fleet.condition()), "starting")
