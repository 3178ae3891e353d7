"""
The receiver as a Twisted service: starts the application, keeps its links, drains.

Each L{Lane} has one L{Uplink} that takes requests or looks for a gateway, or one
for each worker of a gateway that has several, and others that finish what runs on
links whose gateway said goodbye. When the receiver itself is to stop, it says
goodbye on all of them and waits for what runs.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from enum import Enum, auto
from itertools import count
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError, inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import ANPError, AppStartError, LinkRefused
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.receiver.coverage import Coverage
from anp_twisted.receiver.uplink import Gateway, Lane, Surroundings, Tie, Uplink, reason_text
from anp_twisted.transports.link import Link
from anp_twisted.wire.heads import Hello

_URL: Final = re.compile(r"https?://[!-~]+")

_MOST_UPLINKS: Final = 8
"""Uplinks of a lane at once; a gateway that says goodbye more often than its requests end is not waited for."""


_NUMBERED: Final = frozenset({Tie.DIALLING, Tie.LINKED})
"""Uplinks whose number no other link may have; a gateway knows none of a link that was left."""


class Choice(Enum):
    """What to do with several gateways: be linked to all of them, or to the first that answers."""

    ALL = "all"
    FIRST = "first"


def lanes_of(gateways: Sequence[Gateway], *, links: int = 1, choice: Choice = Choice.ALL) -> list[Lane]:
    """
    Lay out the links of a receiver.

    @param links: how many go to each gateway, or to the chosen one.
    """
    targets = [tuple(gateways)] if choice is Choice.FIRST else [(gateway,) for gateway in gateways]
    return [Lane(target, number) for target in targets for number in range(links)]


class Phase(Enum):
    """
    The life of the service.

    C{STARTING}: the application starts, nobody is dialled. C{DRAINING}: what runs
    may end. C{HURRYING}: it was asked again, and waits for nothing.
    """

    STOPPED = auto()
    STARTING = auto()
    SERVING = auto()
    DRAINING = auto()
    HURRYING = auto()


class ReceiverService(Service):
    """
    The receiver.

    @ivar bridge: the application.
    @ivar lanes: whom to dial, one link each.
    @ivar around: the process it runs in.
    @ivar beside: starts and stops with it.
    @ivar phase: where in its life it is.
    @ivar uplinks: the clients; the last one of each lane is for new requests, the others finish old ones.
    """

    log = Logger()

    def __init__(
        self, bridge: AppBridge, lanes: Sequence[Lane], around: Surroundings, beside: Service | None = None
    ) -> None:
        """
        @param lanes: see L{lanes_of}.
        """
        assert lanes, "a receiver without a gateway"
        self.bridge = bridge
        self.lanes = tuple(lanes)
        self.around = around
        self.beside = beside
        self.phase = Phase.STOPPED
        self.uplinks: list[Uplink] = []
        self._coverage = {lane: Coverage(bridge.limits) for lane in self.lanes}
        self._starting: Deferred[None] | None = None
        self._waiting: Deferred[Any] | None = None

    def startService(self) -> None:
        """Start the application, then dial."""
        super().startService()  # type: ignore[no-untyped-call]
        if self.beside is not None:
            self.beside.startService()
        self.phase = Phase.STARTING
        self._starting = self.bridge.startup()
        self._starting.addCallbacks(self._started, self._not_started)

    def _started(self, _: None) -> None:
        """Dial for the first time."""
        self._starting = None
        self.phase = Phase.SERVING
        for lane in self.lanes:
            self._add_uplink(lane, 0.0, 0, lane.number)

    @property
    def linked_count(self) -> int:
        """How many links there are that requests may come over."""
        return sum(uplink.tie is Tie.LINKED for uplink in self.uplinks)

    def _not_started(self, reason: Failure) -> None:
        """Without application there is nothing to serve."""
        self._starting = None
        if reason.check(CancelledError) is None:
            error = (
                reason.value if isinstance(reason.value, ANPError) else AppStartError("the application did not start")
            )
            self.around.give_up(error)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        Drain and stop.

        @return: fires when nothing is left, at most the time to drain and to
            shut down later.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        limits = self.bridge.limits
        self.phase = Phase.DRAINING
        if self._starting is not None:
            self._starting.cancel()
        leaving = [uplink.leave() for uplink in list(self.uplinks)]
        if self.bridge.in_flight:
            self.log.info("draining: {running} requests are running", running=self.bridge.in_flight)
        farewell = LoopingCall(self.bridge.farewell)
        farewell.clock = self.around.clock
        farewell.start(limits.farewell, now=False)
        yield self._patiently(DeferredList([*leaving, self.bridge.drain()], consumeErrors=True), limits.drain)
        farewell.stop()
        if self.bridge.in_flight:
            self.log.warn("{running} requests did not end in time", running=self.bridge.in_flight)
        self.bridge.abort()
        yield self._patiently(self.bridge.drain(), limits.cancel_grace)
        yield DeferredList([uplink.stop() for uplink in list(self.uplinks)], consumeErrors=True)
        yield self._patiently(self.bridge.shutdown(self._at_most(limits.shutdown)), limits.shutdown + 1)
        self.uplinks.clear()
        if self.beside is not None:
            self.beside.stopService()
        self.phase = Phase.STOPPED

    def stop_at_once(self) -> None:
        """Wait no longer for anything; only while stopping."""
        if self.phase is not Phase.DRAINING:
            return
        self.phase = Phase.HURRYING
        self.log.warn("stopping at once")
        for uplink in list(self.uplinks):
            uplink.abort()
        if self._waiting is not None:
            self._waiting.cancel()

    def _patiently(self, work: Deferred[Any], most: float) -> Deferred[Any]:
        """
        Wait for something until its time is over, or until there is no time at all.

        @return: fires in each of these cases, with C{None}.
        """

        def done(result: object) -> None:
            self._waiting = None
            if isinstance(result, Failure) and result.check(CancelledError, TimeoutError) is None:
                self.log.failure("stopping", failure=result)

        self._waiting = work
        work.addTimeout(self._at_most(most), self.around.clock).addBoth(done)
        return work

    def _at_most(self, seconds: float) -> float:
        """The time there is for something, in seconds."""
        return 0.0 if self.phase is Phase.HURRYING else seconds

    # --- from the uplinks -----------------------------------------------

    def _add_uplink(self, lane: Lane, delay: float, first: int, number: int) -> None:
        """Let a new client look for a gateway."""
        uplink = Uplink(self, lane, first, number)
        self.uplinks.append(uplink)
        uplink.dial(delay)

    def linked(self, uplink: Uplink, link: Link) -> None:
        """Keep a link that is needed, and look for those that are missing."""
        peer, lane = link.connection.peer, uplink.lane
        assert peer is not None, "a link is open before its HELLO"
        coverage = self._coverage[lane]
        if coverage.opened(uplink, peer.worker, peer.workers):
            self._tell(uplink, peer)
        else:
            # Not now: its client has yet to hear that it is connected.
            self.around.soon(uplink.give_way)
        dialling = sum(one.tie is Tie.DIALLING for one in self.uplinks if one.lane is lane)
        for _ in range(coverage.missing(dialling)):
            self._add_uplink(lane, coverage.delay(self.around.draw()), uplink.rotation.index, self._free_number(lane))

    def _free_number(self, lane: Lane) -> int:
        """
        Find a number for one more link to the gateways of a lane.

        The dialler does not know which worker it will come to: none of the links that
        any of them has may be taken for its older one.
        """
        used = {one.number for one in self.uplinks if one.lane.gateways == lane.gateways and one.tie in _NUMBERED}
        return next(number for number in count() if number not in used)

    def unlinked(self, uplink: Uplink) -> None:
        """A link is gone; its client looks for another one by itself."""
        self._coverage[uplink.lane].lost(uplink)

    def _tell(self, uplink: Uplink, peer: Hello) -> None:
        """Tell where callers reach the application."""
        gateway, number = uplink.gateway, uplink.lane.number
        paths = " ".join(gateway.paths)
        which = f" (link {number + 1})" if number else ""
        if peer.workers:
            which += f" (worker {peer.worker} of {peer.workers})"
        self.log.info("connected to {url}{which}, serving {paths}", url=gateway.url, which=which, paths=paths)
        self.around.linked()
        if _URL.fullmatch(peer.public_url):
            self.around.announce(peer.public_url.rstrip("/") + gateway.paths[0])
        else:
            self.log.warn("the gateway does not say where callers reach it")

    def dismissed(self, uplink: Uplink) -> None:
        """Look for the next gateway, since this one takes no more requests to us."""
        lane, rotation = uplink.lane, uplink.rotation
        self._coverage[lane].lost(uplink)
        # What the gateway asks for is a pause before the next link to it; another one need not be waited for.
        delay = rotation(0) if len(lane.gateways) == 1 else 0.0
        running = self.bridge.in_flight
        self.log.info(
            "the gateway is leaving; {running} requests finish, a new link in {delay:.1f} s",
            running=running,
            delay=delay,
        )
        self._add_uplink(lane, delay, rotation.following, uplink.number)
        leaving = [one for one in self.uplinks if one.lane is lane and one.tie is Tie.LEAVING]
        for surplus in leaving[: 1 - _MOST_UPLINKS]:
            surplus.stop()

    def over(self, uplink: Uplink) -> None:
        """Forget an uplink whose link is gone for good."""
        if uplink in self.uplinks:
            self.uplinks.remove(uplink)

    def exhausted(self, uplink: Uplink, reason: ANPError) -> None:
        """End the process when no gateway can be reached over any lane."""
        dialling = [one for one in self.uplinks if one.tie is not Tie.LEAVING]
        if all(one.tie is Tie.DIALLING and one.hopeless for one in dialling):
            failures = uplink.rotation.failures
            self.around.give_up(LinkRefused(f"gave up after {failures} attempts: {reason_text(reason)}"))
