"""
Which worker processes there are to be: no process, no clock, no chance.

A crew has a fixed number of slots. A slot has a worker that serves, or waits for
one, and while a new version of the application starts it has the next worker as
well: that one takes the slot when its link is open, and only then the other is
told to leave. So a version that does not start costs nothing.

The machine is told what happened and when; what is to be done about it is a list
of orders that L{Crew.take} hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from anp_twisted.limits import Limits


class Life(Enum):
    """
    The life of one worker process.

    C{STARTING}: it imports, starts and dials. C{SERVING}: its link is open.
    C{LEAVING}: it was told to end. C{OVER}: the process is gone.
    """

    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()
    OVER = auto()


class Input(Enum):
    """What moves a worker from one L{Life} to the next."""

    READY = auto()
    DISMISSED = auto()
    EXITED = auto()


_NEXT: Final = {
    (Life.STARTING, Input.READY): Life.SERVING,
    (Life.STARTING, Input.DISMISSED): Life.LEAVING,
    (Life.SERVING, Input.DISMISSED): Life.LEAVING,
    (Life.STARTING, Input.EXITED): Life.OVER,
    (Life.SERVING, Input.EXITED): Life.OVER,
    (Life.LEAVING, Input.EXITED): Life.OVER,
}
"""What is not in here changes nothing: a link that opens again, or behind the word to leave."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Why a worker says that it cannot do its work.

    @ivar text: one line for the operator.
    @ivar final: it is no use to try again, whatever changes.
    """

    text: str
    final: bool


class Worker:
    """
    One process.

    @ivar number: of its slot, from 1; what the log calls it.
    @ivar life: where in its life it is.
    @ivar fault: what it reported, if it did.
    @ivar served: whether its link was ever open, and since when.
    @ivar doomed: when it is killed, unless it has ended before.
    """

    __slots__ = ("doomed", "fault", "life", "number", "served")

    def __init__(self, number: int) -> None:
        self.number = number
        self.life = Life.STARTING
        self.fault: Fault | None = None
        self.served: float | None = None
        self.doomed: float | None = None

    def move(self, given: Input) -> bool:
        """
        Go on to the next life.

        @return: C{False} if there is none for this; nothing changes.
        """
        following = _NEXT.get((self.life, given))
        self.life = following or self.life
        return following is not None


class Slot:
    """
    One place in the crew.

    @ivar worker: the process that serves, or is to.
    @ivar following: the one with the new version, until it serves.
    @ivar failures: ends in a row that nobody asked for.
    @ivar restart: when a new worker is due.
    @ivar stuck: why none is due.
    """

    __slots__ = ("failures", "following", "number", "restart", "stuck", "worker")

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Worker | None = None
        self.following: Worker | None = None
        self.failures = 0
        self.restart: float | None = None
        self.stuck: Fault | None = None


class Word(Enum):
    """What a worker can be told. The values are what is written to it."""

    DRAIN = b"drain\n"
    HURRY = b"hurry\n"


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something to a process."""

    worker: Worker
    word: Word


@dataclass(frozen=True, slots=True)
class Kill:
    """End a process by force."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Say:
    """
    Log something.

    @ivar level: C{info}, C{warn} or C{error}.
    """

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the whole program: no worker can do its work."""

    text: str


Order = Spawn | Tell | Kill | Say | GiveUp


class Phase(Enum):
    """The life of the crew. C{HURRYING}: it was asked to stop again, and waits for little."""

    STOPPED = auto()
    RUNNING = auto()
    STOPPING = auto()
    HURRYING = auto()


class Crew:
    """
    The machine.

    @ivar phase: where in its life it is.
    @ivar workers: the processes that exist, those that leave included.
    """

    def __init__(self, size: int, limits: Limits, *, draw: Callable[[], float], reloading: bool = False) -> None:
        """
        @param size: how many workers.
        @param draw: a random number from 0 up to 1.
        @param reloading: whether a version that does not start is to be waited out, since the next change may mend it.
        """
        self.phase = Phase.STOPPED
        self.workers: list[Worker] = []
        self._slots = [Slot(number) for number in range(1, size + 1)]
        self._limits = limits
        self._draw = draw
        self._reloading = reloading
        self._proven = False
        self._orders: list[Order] = []

    def take(self) -> list[Order]:
        """
        @return: what is to be done, in order; each order is handed over once.
        """
        orders, self._orders = self._orders, []
        return orders

    def due(self) -> float | None:
        """
        @return: when to call L{tick}, or C{None} while nothing waits for a time.
        """
        return min(self._times(), default=None)

    def _times(self) -> Iterator[float]:
        yield from (slot.restart for slot in self._slots if slot.restart is not None)
        yield from (worker.doomed for worker in self.workers if worker.doomed is not None)

    # --- what the operator wants ------------------------------------------

    def start(self) -> None:
        """Fill every slot."""
        self.phase = Phase.RUNNING
        for slot in self._slots:
            slot.worker = self._spawned(slot)

    def changed(self, now: float) -> None:
        """Start the new version in every slot; what serves goes on until that one does."""
        if self.phase is not Phase.RUNNING:
            return
        for slot in self._slots:
            if slot.following is not None:
                self._dismiss(slot.following, now)
            slot.following = slot.restart = slot.stuck = None
            slot.failures = 0
            fresh = self._spawned(slot)
            if slot.worker is None:
                slot.worker = fresh
            else:
                slot.following = fresh

    def stop(self, now: float) -> None:
        """Let what runs end, and start nothing any more."""
        self.phase = Phase.STOPPING
        for slot in self._slots:
            slot.restart = None
        for worker in self.workers:
            self._dismiss(worker, now)
        self._settle()

    def hurry(self, now: float) -> None:
        """Wait for hardly anything any more; only while stopping."""
        if self.phase is not Phase.STOPPING:
            return
        self.phase = Phase.HURRYING
        for worker in self.workers:
            worker.doomed = now + self._limits.worker_margin
            self._orders.append(Tell(worker, Word.HURRY))

    # --- what the workers tell ------------------------------------------

    def ready(self, worker: Worker, now: float) -> None:
        """The link of a worker is open."""
        if not worker.move(Input.READY):
            return
        worker.served = now
        slot = self._slots[worker.number - 1]
        if slot.following is worker:
            before, slot.worker, slot.following = slot.worker, worker, None
            self._say("info", f"worker {worker.number} serves the new version")
            if before is not None:
                self._dismiss(before, now)
        if not self._proven:
            self._proven = True
            self._retry(now)

    def _retry(self, now: float) -> None:
        """Now that one worker serves, what kept others from starting may be their own bad luck."""
        for slot in self._slots:
            if slot.stuck is not None and not slot.stuck.final and not self._reloading:
                self._say("error", f"worker {slot.number}: {slot.stuck.text}")
                slot.stuck = None
                self._restart(slot, now, "could not start")

    def failed(self, worker: Worker, fault: Fault, now: float) -> None:
        """A worker says that it cannot do its work; it ends by itself, or is made to."""
        worker.fault = fault
        if worker.doomed is None:
            worker.doomed = now + self._limits.worker_margin

    def exited(self, worker: Worker, how: str, now: float) -> None:
        """
        A process is gone.

        @param how: completes "worker 1 …".
        """
        missed = worker.life is not Life.LEAVING
        if not worker.move(Input.EXITED):
            return
        self.workers.remove(worker)
        slot = self._slots[worker.number - 1]
        if missed:
            self._missed(slot, worker, how, now)
        self._settle()

    def _missed(self, slot: Slot, worker: Worker, how: str, now: float) -> None:
        """See to a slot whose worker ended though nobody asked it to."""
        if slot.following is worker:
            slot.following = None
            if slot.worker is not None:
                reason = worker.fault.text if worker.fault is not None else f"it {how}"
                self._say("error", f"the new version does not start: {reason}; the one before goes on serving")
                return
        else:
            slot.worker = None
            if slot.following is not None:
                self._say("error", f"worker {slot.number} {how}; the new version is about to start")
                return
        self._vacant(slot, worker, how, now)

    def _vacant(self, slot: Slot, worker: Worker, how: str, now: float) -> None:
        """Decide whether an empty slot gets a new worker."""
        fault = worker.fault
        if worker.served is not None and now - worker.served >= self._limits.worker_healthy_after:
            slot.failures = 0
        slot.failures += 1
        if fault is not None and (fault.final or self._reloading or not self._proven):
            slot.stuck = fault
            self._stuck(slot, fault)
            return
        if fault is not None:
            how = f"failed: {fault.text}"
        self._restart(slot, now, how)

    def _stuck(self, slot: Slot, fault: Fault) -> None:
        """Say why nothing happens, or give up where no slot has anything to hope for."""
        if self._reloading and not fault.final:
            self._say("error", f"worker {slot.number}: {fault.text}; waiting for a change")
            return
        if fault.final:
            self._say("error", f"worker {slot.number}: {fault.text}")
        if all(slot.stuck is not None for slot in self._slots):
            self._orders.append(GiveUp(fault.text))

    def _restart(self, slot: Slot, now: float, how: str) -> None:
        """Let a new worker start later: full jitter between nothing and a bound that doubles."""
        limits = self._limits
        # The exponent is bounded so that a year of failures is no overflow.
        bound = min(limits.worker_restart_most, limits.worker_restart_first * 2 ** min(slot.failures - 1, 30))
        delay = bound * self._draw()
        slot.restart = now + delay
        self._say("error", f"worker {slot.number} {how}; a new one starts in {delay:.1f} s")

    # --- time ---------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        for slot in self._slots:
            if slot.restart is not None and slot.restart <= now:
                slot.restart = None
                slot.worker = self._spawned(slot)
        for worker in self.workers:
            if worker.doomed is not None and worker.doomed <= now:
                worker.doomed = None
                self._say("warn", f"worker {worker.number} did not end in time and is killed")
                self._orders.append(Kill(worker))

    # --- parts ----------------------------------------------------------------

    def _spawned(self, slot: Slot) -> Worker:
        """Order a process."""
        worker = Worker(slot.number)
        self.workers.append(worker)
        self._orders.append(Spawn(worker))
        return worker

    def _dismiss(self, worker: Worker, now: float) -> None:
        """Tell a worker to leave, once, and set the time that it has for that."""
        if not worker.move(Input.DISMISSED):
            return
        limits = self._limits
        worker.doomed = now + limits.drain + limits.cancel_grace + limits.shutdown + limits.worker_margin
        self._orders.append(Tell(worker, Word.DRAIN))

    def _settle(self) -> None:
        """Notice that nothing is left."""
        if self.phase in (Phase.STOPPING, Phase.HURRYING) and not self.workers:
            self.phase = Phase.STOPPED

    def _say(self, level: str, text: str) -> None:
        self._orders.append(Say(level, text))
