"""
The receiver as a Twisted service: starts the application, keeps a link, drains.

An L{Uplink} dials one gateway again and again. When the gateway says goodbye, its
uplink keeps the link for as long as requests run on it, and a new uplink looks for
the gateway that comes next. When the receiver itself is to stop, it says goodbye
and waits for what runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted import __version__
from anp_twisted.errors import ANPError, AppStartError, ConnectionClosed, LinkLost, LinkRefused
from anp_twisted.limits import Limits
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.session.events import GoawayReceived, RequestReceived
from anp_twisted.transports.backoff import CREDENTIALS, Backoff, GivingUp
from anp_twisted.transports.client import Dialling, LinkEndpoint
from anp_twisted.transports.link import Link, Soon, Wiring
from anp_twisted.wire import v2
from anp_twisted.wire.heads import Hello

_URL: Final = re.compile(r"https?://[!-~]+")

_MOST_UPLINKS: Final = 8
"""Uplinks at once; a gateway that says goodbye more often than its requests end is not waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    What a receiver takes from the process it runs in.

    @ivar clock: the reactor's time.
    @ivar soon: runs a function at the end of this turn of the reactor.
    @ivar draw: a random number from 0 up to 1.
    @ivar announce: gets the public URL, each time a link is open.
    @ivar give_up: ends the process, since the receiver cannot do its work.
    """

    clock: IReactorTime
    soon: Soon
    draw: Callable[[], float]
    announce: Callable[[str], None]
    give_up: Callable[[ANPError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """
    Where the gateway is, and what it is told.

    @ivar url: C{ws[s]://host:port/path}.
    @ivar endpoint: makes the TCP or TLS connection.
    @ivar headers: makes the header fields of one attempt, among them C{Authorization}.
    @ivar paths: the prefixes that the application serves.
    @ivar instance: names this process.
    @ivar attempts: failures in a row after which to give up; 0 is never.
    """

    url: str
    endpoint: IStreamClientEndpoint
    headers: Callable[[], dict[str, str]]
    paths: tuple[str, ...]
    instance: str
    attempts: int = 0


def hello_of(gateway: Gateway, limits: Limits, generation: int = 0) -> Hello:
    """
    Say who this receiver is.

    @param generation: how many gateways said goodbye. It is a part of the
        instance: a new link replaces a lost one of the same instance, but not
        one on which requests still run.
    """
    capacity = min(limits.in_flight, limits.streams)
    return Hello(
        versions=[v2.VERSION],
        window=limits.stream_window,
        connection_window=limits.connection_credit(capacity),
        # Room beyond the capacity, for a gateway that lets go of a stream a moment later than we do.
        max_streams=min(2 * capacity, limits.streams),
        max_frame=limits.frame,
        capacity=capacity,
        software=f"anp-twisted/{__version__}",
        instance=f"{gateway.instance}.{generation}",
        paths=list(gateway.paths),
    )


def reason_text(reason: ANPError | None) -> str:
    """
    Say in one line why there is no link.

    @param reason: what the attempt or the link ended with.
    """
    code = 0
    if isinstance(reason, LinkRefused):
        code = reason.status
    elif isinstance(reason, LinkLost):
        code = reason.closed_with
    if code in CREDENTIALS:
        return f"the gateway refused the token ({code})"
    return (str(reason) if reason is not None else "") or "the link is gone"


# --- one link ------------------------------------------------------------------


class Tie(Enum):
    """
    What an uplink is doing.

    C{DIALLING}: there is no link. C{LINKED}: requests may come. C{LEAVING}: one
    side said goodbye; when the link ends there is no other. C{OVER}: it ended.
    """

    DIALLING = auto()
    LINKED = auto()
    LEAVING = auto()
    LEFT = auto()
    OVER = auto()


_UNLINKED: Final = {Tie.LINKED: Tie.DIALLING, Tie.LEAVING: Tie.LEFT}
"""What becomes of an uplink that loses its link; one that was stopped stays so."""


class Ending(Protocol):
    """What C{ClientService} holds for a link: it tells when the socket is gone."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone, and everything that was written with it."""
        self._gone()


class Uplink:
    """
    One client and the link it has, while it has one; a L{LinkOwner<anp_twisted.transports.link.LinkOwner>}.

    @ivar tie: what it is doing.
    @ivar link: the link, while there is one.
    @ivar backoff: when it dials again.
    """

    log = Logger()

    def __init__(self, receiver: ReceiverService, generation: int) -> None:
        """
        @param receiver: hears what becomes of the link.
        @param generation: see L{hello_of}.
        """
        around, gateway, limits = receiver.around, receiver.gateway, receiver.bridge.limits
        self.tie = Tie.DIALLING
        self.link: Link | None = None
        self._receiver = receiver
        self._url = gateway.url
        self._attempts = gateway.attempts
        self.backoff = Backoff(
            limits,
            around.clock.seconds,
            draw=around.draw,
            soon=around.soon,
            giving_up=GivingUp(gateway.attempts, self._exhausted),
        )
        hello = hello_of(gateway, limits, generation)
        dialling = Dialling(gateway.url, gateway.headers, lambda: hello, self.backoff)
        endpoint = LinkEndpoint(gateway.endpoint, dialling, Wiring(around.clock, around.soon, limits, self))
        factory = Factory.forProtocol(lambda: Ending(self._socket_gone))
        self._client = ClientService(endpoint, factory, self._delay, around.clock)
        self._clock = around.clock
        self._start: IDelayedCall | None = None

    def dial(self, delay: float = 0.0) -> None:
        """
        Look for the gateway until there is a link.

        @param delay: seconds until the first attempt.
        """
        if delay:
            self._start = self._clock.callLater(delay, self.dial)
        else:
            self._start = None
            self._client.startService()

    def leave(self) -> Deferred[None]:
        """
        Take no new request.

        @return: fires when none runs on the link any more; it never fails.
        """
        if self.link is None:
            return self.stop()
        self.tie = Tie.LEAVING
        return self.link.leave()

    def stop(self) -> Deferred[None]:
        """
        End the link in good order, or look for one no longer.

        @return: fires when the socket is gone; it never fails.
        """
        self.tie = Tie.OVER
        if self._start is not None:
            self._start.cancel()
            self._start = None
        return self._client.stopService().addCallback(lambda _: self._receiver.over(self))

    def abort(self) -> None:
        """Cut the link."""
        if self.link is not None:
            self.link.abort(ConnectionClosed("the receiver stops at once"))

    # --- from the link --------------------------------------------------

    def link_open(self, link: Link) -> None:
        """Requests may come from now on."""
        self.tie = Tie.LINKED
        self.link = link
        self._receiver.linked(link)

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        """Pass a request to the application, or make room for the next gateway."""
        if isinstance(event, RequestReceived):
            self._receiver.bridge.request_received(link, event)
        elif self.tie is Tie.LINKED:
            self.leave().addCallback(self._nothing_runs)
            self._receiver.dismissed(self)

    def _nothing_runs(self, _: None) -> None:
        """Close the link that was left; it may have been lost or closed before."""
        if self.tie is Tie.LEAVING:
            self.stop()

    def link_lost(self, link: Link, reason: ANPError) -> None:
        """There is no link any more; the socket may be there for a moment."""
        self.link = None
        self.tie = _UNLINKED.get(self.tie, self.tie)

    # --- from the client ------------------------------------------------

    def _socket_gone(self) -> None:
        """Keep the client from dialling again where the link is not wanted any more."""
        # Not earlier: to stop a client while the last bytes are on their way would cut them off.
        if self.tie is Tie.LEFT:
            self.stop()

    def _delay(self, failures: int) -> float:
        """Say when to dial again, to the client and to the operator."""
        delay = self.backoff(failures)
        if self.tie is not Tie.DIALLING:
            return delay
        reason = self.backoff.reason
        what = "cannot connect to" if isinstance(reason, LinkRefused) else "lost the link to"
        then = "giving up" if 0 < self._attempts <= self.backoff.failures else f"next attempt in {delay:.1f} s"
        self.log.warn("{what} {url}: {reason}; {then}", what=what, url=self._url, reason=reason_text(reason), then=then)
        return delay

    def _exhausted(self, reason: ANPError) -> None:
        """Dial no more."""
        if self.tie is Tie.DIALLING:
            self._receiver.give_up(reason, self.backoff.failures)


# --- the service ---------------------------------------------------------------


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
    @ivar gateway: whom to dial.
    @ivar around: the process it runs in.
    @ivar phase: where in its life it is.
    @ivar uplinks: the clients; the last one is for new requests, the others finish old ones.
    """

    log = Logger()

    def __init__(self, bridge: AppBridge, gateway: Gateway, around: Surroundings) -> None:
        self.bridge = bridge
        self.gateway = gateway
        self.around = around
        self.phase = Phase.STOPPED
        self.uplinks: list[Uplink] = []
        self._generation = 0
        self._starting: Deferred[None] | None = None
        self._waiting: Deferred[Any] | None = None

    def startService(self) -> None:
        """Start the application, then dial."""
        super().startService()  # type: ignore[no-untyped-call]
        self.phase = Phase.STARTING
        self._starting = self.bridge.startup()
        self._starting.addCallbacks(self._started, self._not_started)

    def _started(self, _: None) -> None:
        """Dial for the first time."""
        self._starting = None
        self.phase = Phase.SERVING
        self._add_uplink(0.0)

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
        yield self._patiently(DeferredList([*leaving, self.bridge.drain()], consumeErrors=True), limits.drain)
        if self.bridge.in_flight:
            self.log.warn("{running} requests did not end in time", running=self.bridge.in_flight)
        self.bridge.abort()
        yield self._patiently(self.bridge.drain(), limits.cancel_grace)
        yield DeferredList([uplink.stop() for uplink in list(self.uplinks)], consumeErrors=True)
        yield self._patiently(self.bridge.shutdown(self._at_most(limits.shutdown)), limits.shutdown + 1)
        self.uplinks.clear()
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

    def _add_uplink(self, delay: float) -> None:
        """Let a new client look for the gateway."""
        uplink = Uplink(self, self._generation)
        self._generation += 1
        self.uplinks.append(uplink)
        uplink.dial(delay)

    def linked(self, link: Link) -> None:
        """Tell where callers reach the application."""
        peer = link.connection.peer
        assert peer is not None, "a link is open before its HELLO"
        paths = " ".join(self.gateway.paths)
        self.log.info("connected to {url}, serving {paths}", url=self.gateway.url, paths=paths)
        if _URL.fullmatch(peer.public_url):
            self.around.announce(peer.public_url.rstrip("/") + self.gateway.paths[0])
        else:
            self.log.warn("the gateway does not say where callers reach it")

    def dismissed(self, uplink: Uplink) -> None:
        """Look for the next gateway, since this one takes no more requests to us."""
        delay = uplink.backoff(0)
        running = self.bridge.in_flight
        self.log.info(
            "the gateway is leaving; {running} requests finish, a new link in {delay:.1f} s",
            running=running,
            delay=delay,
        )
        self._add_uplink(delay)
        for surplus in self.uplinks[:-_MOST_UPLINKS]:
            surplus.stop()

    def over(self, uplink: Uplink) -> None:
        """Forget an uplink whose link is gone for good."""
        if uplink in self.uplinks:
            self.uplinks.remove(uplink)

    def give_up(self, reason: ANPError, failures: int) -> None:
        """End the process, since the gateway cannot be reached."""
        self.around.give_up(LinkRefused(f"gave up after {failures} attempts: {reason_text(reason)}"))
