"""
One link of a receiver: dialled again and again, left when the gateway says goodbye.

A receiver has L{Lane}s: each keeps one link that takes requests, or one to each
worker of a gateway that has several. When a gateway
says goodbye, the uplink keeps its link for as long as requests run on it, and
the lane gets another uplink that looks for the gateway that comes next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from msgspec import structs
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted import __version__
from anp_twisted.errors import ANPError, ConnectionClosed, LinkLost, LinkRefused, ProxyRefused
from anp_twisted.limits import Limits
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.session.events import GoawayReceived, RequestReceived
from anp_twisted.transports.backoff import CREDENTIALS
from anp_twisted.transports.client import Dialling, LinkEndpoint
from anp_twisted.transports.link import Link, Soon, Wiring
from anp_twisted.transports.rotation import RotatingEndpoint, Rotation
from anp_twisted.transports.versions import Legacy
from anp_twisted.wire import heads, v2
from anp_twisted.wire.heads import Hello


def _nothing() -> None:
    """Nobody has to know."""


def _no_challenge() -> str:
    """Nothing is asked."""
    return ""


def _nobody(reason: ANPError) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    What a receiver takes from the process it runs in.

    @ivar clock: the reactor's time.
    @ivar soon: runs a function at the end of this turn of the reactor.
    @ivar draw: a random number from 0 up to 1.
    @ivar announce: gets the public URL, each time a link is open.
    @ivar give_up: ends the process, since the receiver cannot do its work.
    @ivar linked: told each time a link is open, whether or not the gateway says where callers reach it.
    @ivar troubled: gets the reason of each attempt that failed and each link that was lost.
    @ivar legacy: for gateways of version 1; without it, they are refused.
    """

    clock: IReactorTime
    soon: Soon
    draw: Callable[[], float]
    announce: Callable[[str], None]
    give_up: Callable[[ANPError], None]
    linked: Callable[[], None] = _nothing
    troubled: Callable[[ANPError], None] = _nobody
    legacy: Legacy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """
    Where a gateway is, and what it is told.

    @ivar url: C{ws[s]://host:port/path}.
    @ivar endpoint: makes the TCP or TLS connection.
    @ivar headers: makes the header fields of one attempt, among them C{Authorization}.
    @ivar paths: the prefixes that the application serves.
    @ivar instance: names this process.
    @ivar judge: see L{Dialling}; C{None} takes whatever gateway TLS takes.
    @ivar challenge: makes 32 random hexadecimal digits.
    @ivar attempts: failures in a row after which to give up; 0 is never.
    """

    url: str
    endpoint: IStreamClientEndpoint
    headers: Callable[[], dict[str, str]]
    paths: tuple[str, ...]
    instance: str
    attempts: int = 0
    judge: Callable[[str, Hello], None] | None = None
    challenge: Callable[[], str] = _no_challenge


@dataclass(frozen=True, slots=True)
class Lane:
    """
    A place for one link, or for one to each worker of a gateway.

    @ivar gateways: those of which one is needed, the preferred one first.
    @ivar number: tells the lanes to one gateway apart; the first link of a lane has this number.
    """

    gateways: tuple[Gateway, ...]
    number: int


def hello_of(gateway: Gateway, limits: Limits, link: int = 0) -> Hello:
    """
    Say who this receiver is.

    @param link: the number of the link. The capacity is that of the process,
        whatever the number of its links.
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
        features=[heads.WEBSOCKET, heads.WORKERS],
        instance=gateway.instance,
        link=link,
        paths=list(gateway.paths),
    )


def reason_text(reason: ANPError | None) -> str:
    """
    Say in one line why there is no link.

    @param reason: what the attempt or the link ended with.
    """
    code = 0
    if isinstance(reason, LinkRefused) and not isinstance(reason, ProxyRefused):
        code = reason.status
    elif isinstance(reason, LinkLost):
        code = reason.closed_with
    if code in CREDENTIALS:
        return f"the gateway refused the token ({code})"
    return (str(reason) if reason is not None else "") or "the link is gone"


class Tie(Enum):
    """
    What an uplink is doing.

    C{DIALLING}: there is no link. C{LINKED}: requests may come. C{LEAVING}: one
    side said goodbye; when the link ends there is no other. C{LEFT}: it ended,
    its socket is still there. C{OVER}: the client was stopped.
    """

    DIALLING = auto()
    LINKED = auto()
    LEAVING = auto()
    LEFT = auto()
    OVER = auto()


_UNLINKED: Final = {Tie.LINKED: Tie.DIALLING, Tie.LEAVING: Tie.LEFT}
"""What becomes of an uplink that loses its link; one that was stopped stays so."""


class Ending(TwistedProtocol):
    """What C{ClientService} holds for a link: it tells when the socket is gone."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone, and everything that was written with it."""
        self._gone()


class UplinkOwner(Protocol):
    """Who has uplinks: the service."""

    around: Surroundings
    bridge: AppBridge

    def linked(self, uplink: Uplink, link: Link) -> None:
        """Requests may come over this link."""

    def unlinked(self, uplink: Uplink) -> None:
        """The link of this one is gone."""

    def dismissed(self, uplink: Uplink) -> None:
        """The gateway of this one takes no more requests to us."""

    def over(self, uplink: Uplink) -> None:
        """Nothing of this one is left."""

    def exhausted(self, uplink: Uplink, reason: ANPError) -> None:
        """This one has failed as often in a row as it may; it goes on all the same."""


class Uplink:
    """
    One client and the link it has, while it has one; a L{LinkOwner<anp_twisted.transports.link.LinkOwner>}.

    @ivar lane: the place it fills.
    @ivar number: of its link, for the gateway.
    @ivar tie: what it is doing.
    @ivar link: the link, while there is one.
    @ivar rotation: when it dials again, and whom.
    """

    log = Logger()

    def __init__(self, owner: UplinkOwner, lane: Lane, first: int, number: int) -> None:
        """
        @param owner: hears what becomes of the link.
        @param first: which of the gateways to begin with.
        @param number: a new link replaces a lost one of the same number, but not one on which requests still run.
        """
        around, limits = owner.around, owner.bridge.limits
        self.lane = lane
        self.number = number
        self.tie = Tie.DIALLING
        self.link: Link | None = None
        self._owner = owner
        self._attempts = lane.gateways[0].attempts
        self.rotation = Rotation(
            limits,
            around.clock.seconds,
            draw=around.draw,
            count=len(lane.gateways),
            first=first,
        )
        self._dialled = lane.gateways[first]
        endpoint = RotatingEndpoint([self._endpoint(gateway, limits) for gateway in lane.gateways], self.rotation)
        factory = Factory.forProtocol(lambda: Ending(self._socket_gone))
        self._client = ClientService(endpoint, factory, self._delay, around.clock)
        self._start: IDelayedCall | None = None

    def _endpoint(self, gateway: Gateway, limits: Limits) -> IStreamClientEndpoint:
        """Make what connects to one of the gateways."""
        around = self._owner.around
        hello = hello_of(gateway, limits, self.number)
        judge = gateway.judge
        dialling = Dialling(
            gateway.url,
            gateway.headers,
            lambda: hello if judge is None else structs.replace(hello, challenge=gateway.challenge()),
            self.rotation,
            # A gateway of version 1 cannot prove anything.
            around.legacy if judge is None else None,
            judge,
        )
        return LinkEndpoint(gateway.endpoint, dialling, Wiring(around.clock, around.soon, limits, self))

    @property
    def gateway(self) -> Gateway:
        """The gateway that was dialled last."""
        return self._dialled

    @property
    def hopeless(self) -> bool:
        """Whether it failed as often in a row as it may."""
        return 0 < self._attempts <= self.rotation.failures

    def dial(self, delay: float = 0.0) -> None:
        """
        Look for the gateway until there is a link.

        @param delay: seconds until the first attempt.
        """
        if delay:
            self._start = self._owner.around.clock.callLater(delay, self.dial)
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
        return self._client.stopService().addCallback(lambda _: self._owner.over(self))

    def abort(self) -> None:
        """Cut the link."""
        if self.link is not None:
            self.link.abort(ConnectionClosed("the receiver stops at once"))

    # --- from the link --------------------------------------------------

    def link_open(self, link: Link) -> None:
        """Requests may come from now on."""
        self.tie = Tie.LINKED
        self.link = link
        self._owner.linked(self, link)

    def give_way(self) -> None:
        """Leave a gateway to which another link leads; what has come over this one meanwhile is finished."""
        if self.tie is Tie.LINKED:
            self.leave().addCallback(self._nothing_runs)

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        """Pass a request to the application, or make room for the next gateway."""
        if isinstance(event, RequestReceived):
            self._owner.bridge.request_received(link, event)
        elif self.tie is Tie.LINKED:
            self.leave().addCallback(self._nothing_runs)
            self._owner.dismissed(self)

    def _nothing_runs(self, _: None) -> None:
        """Close the link that was left; it may have been lost or closed before."""
        if self.tie is Tie.LEAVING:
            self.stop()

    def link_lost(self, link: Link, reason: ANPError) -> None:
        """There is no link any more; the socket may be there for a moment."""
        self.link = None
        self.tie = _UNLINKED.get(self.tie, self.tie)
        self._owner.unlinked(self)

    # --- from the client ------------------------------------------------

    def _socket_gone(self) -> None:
        """Keep the client from dialling again where the link is not wanted any more."""
        # Not earlier: to stop a client while the last bytes are on their way would cut them off.
        if self.tie is Tie.LEFT:
            self.stop()

    def _delay(self, failures: int) -> float:
        """Say when to dial again, to the client and to the operator."""
        delay = self.rotation(failures)
        if self.tie is Tie.DIALLING:
            self._complain(delay)
        self._dialled = self.lane.gateways[self.rotation.index]
        return delay

    def _complain(self, delay: float) -> None:
        """Tell why there is no link, and what comes next."""
        rotation, url = self.rotation, self._dialled.url
        reason = rotation.reason or LinkRefused("no link")
        what = "cannot connect to" if isinstance(reason, LinkRefused) else "lost the link to"
        then = f"next attempt in {delay:.1f} s"
        if self.hopeless:
            then = "giving up"
        elif len(self.lane.gateways) > 1:
            then = f"{self.lane.gateways[rotation.index].url} in {delay:.1f} s"
        self.log.warn("{what} {url}: {reason}; {then}", what=what, url=url, reason=reason_text(reason), then=then)
        self._owner.around.troubled(reason)
        if self.hopeless:
            # The client is in the middle of something, and whoever hears this may stop it.
            self._owner.around.soon(lambda: self._exhausted(reason))

    def _exhausted(self, reason: ANPError) -> None:
        """Tell that it is no use."""
        if self.tie is Tie.DIALLING:
            self._owner.exhausted(self, reason)
