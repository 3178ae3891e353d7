"""
The gateway as a Twisted service: what listens, what is connected, how it stops.

Starting fails if one listener fails. Stopping takes no new connection, lets the
requests that are running finish within the time to drain, says goodbye to the
receivers, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from anp_twisted import __version__
from anp_twisted.access import AccessRecord
from anp_twisted.auth.authenticator import Authenticator
from anp_twisted.auth.identity import Identity
from anp_twisted.auth.mutual import GatewayProver
from anp_twisted.gateway.admission import Admission
from anp_twisted.gateway.callerproof import CallerProofs
from anp_twisted.gateway.doors import Doors, GuardedFactory
from anp_twisted.gateway.entrance import Interview, LinkEntrance
from anp_twisted.gateway.exchanges import Exchanges
from anp_twisted.gateway.front import Front, LinkFront
from anp_twisted.gateway.receivers import Receivers
from anp_twisted.gateway.routes import RouteTable
from anp_twisted.gateway.territory import Territory
from anp_twisted.gateway.watch import OverloadWatch
from anp_twisted.http.channel import nobody
from anp_twisted.limits import Limits
from anp_twisted.registry.book import Book
from anp_twisted.registry.service import Registry
from anp_twisted.transports.caller import CallerSockets
from anp_twisted.transports.link import Link, Soon
from anp_twisted.transports.link import State as LinkState
from anp_twisted.transports.listener import Listener
from anp_twisted.transports.server import LinkServerFactory
from anp_twisted.transports.versions import Legacy
from anp_twisted.wire import v2
from anp_twisted.wire.heads import Hello

#: Seconds between two looks for paths whose receivers have been gone too long.
_TIDY = 10.0

#: Seconds between two looks at what is still open while stopping.
_LOOK = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    What the gateway takes from the process it runs in.

    @ivar clock: the reactor's time.
    @ivar soon: runs a function at the end of this turn of the reactor.
    @ivar wall: the time of day, in seconds since the epoch.
    @ivar request_id: makes the id of the next request.
    @ivar authenticator: judges who receivers are.
    @ivar record: gets one record for each request that ended, if anybody wants them.
    @ivar announce: gets the public URL when everything listens.
    @ivar callers: judges who callers are, where a route wants to know.
    @ivar prover: proves this gateway to receivers that ask, if it can.
    @ivar legacy: for receivers of version 1; without it, there are none.
    """

    clock: IReactorTime
    soon: Soon
    wall: Callable[[], float]
    request_id: Callable[[], str]
    authenticator: Authenticator
    record: Callable[[AccessRecord], None] | None
    announce: Callable[[str], None]
    legacy: Legacy | None = None
    callers: Authenticator | None = None
    prover: GatewayProver | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """
    Which of several processes of one gateway this is.

    @ivar number: from 1, or 0 for the only one.
    @ivar among: how many there are.
    """

    number: int = 0
    among: int = 0


_ALONE = Place()


class Phase(Enum):
    """The life of the service."""

    STOPPED = auto()
    RUNNING = auto()
    DRAINING = auto()


class GatewayService(MultiService):
    """
    The gateway.

    @ivar front: makes the connections of the public listeners.
    @ivar link_front: makes those of listeners for receivers only.
    @ivar receivers: the receivers that are connected.
    @ivar exchanges: the requests that are running.
    @ivar watch: says when there are too many.
    """

    log = Logger()

    def __init__(
        self,
        around: Surroundings,
        limits: Limits,
        *,
        health_path: str,
        public_url: str | None,
        compression: bool = False,
        admission: Admission | None = None,
        place: Place = _ALONE,
        registry: Registry | None = None,
    ) -> None:
        """
        @param place: which process this is, where there are several.
        @param registry: whose tokens and places those are; it becomes a part of this service.
        @param public_url: where callers reach the gateway, if it is not where it listens.
        @param compression: whether WebSockets of callers may be compressed.
        @param admission: who is calling, and who may.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._around = around
        self._limits = limits
        self._place = place
        self._public_url = public_url
        self._phase = Phase.STOPPED
        self._started = 0.0
        self._listeners: list[Listener] = []
        territory = Territory(around.wall, limits)
        self.receivers = Receivers(RouteTable(), around.clock, limits, shared_by=place.among, territory=territory)
        self.exchanges = self._make_exchanges(CallerSockets(around.clock, limits, compression=compression))
        links = self._link_factory = self._make_links()
        self.entrance = LinkEntrance(links, Interview(around.authenticator, around.clock, limits))
        front = self._make_front(health_path, admission)
        self._admission = admission
        self.exchanges.forwards_ids = admission is not None and admission.forwards_ids
        exempt = nobody if admission is None else admission.is_proxy
        self.front = GuardedFactory(around.clock, limits, front, on_refused=self._malformed, exempt=exempt)
        link_front = LinkFront(self.exchanges, self.entrance, around.request_id)
        self.link_front = GuardedFactory(around.clock, limits, link_front, on_refused=self._malformed)
        self._doors = Doors(self._listeners, [self.front, self.link_front])
        self.watch = self._make_watch()
        self._registry = registry
        if registry is not None:
            registry.when_changed(self._adopt)
            registry.setServiceParent(self)  # type: ignore[no-untyped-call]
        tidy = TimerService(_TIDY, self._tidy)
        tidy.clock = around.clock
        tidy.setServiceParent(self)

    def _make_links(self) -> LinkServerFactory:
        """Make what makes the gateway's ends of links."""
        around = self._around
        answer = None if around.prover is None else around.prover.answer
        return LinkServerFactory(
            around.clock,
            around.soon,
            self._limits,
            self.receivers,
            self._hello,
            legacy=around.legacy,
            answer=answer,
        )

    def _make_front(self, health_path: str, admission: Admission | None) -> Front:
        """Make what decides what a request is."""
        return Front(
            self.exchanges,
            self.entrance,
            request_id=self._around.request_id,
            health_path=health_path,
            starting=self._is_starting,
            admission=admission,
            patient=self._place.among > 1,
            proofs=self._caller_proofs(),
        )

    def _caller_proofs(self) -> CallerProofs | None:
        """Make what asks callers who they are, if anybody could judge it."""
        around = self._around
        if around.callers is None:
            return None
        return CallerProofs(Interview(around.callers, around.clock, self._limits))

    def _make_exchanges(self, sockets: CallerSockets) -> Exchanges:
        """Make the table of the requests that run."""
        around = self._around
        return Exchanges(
            self.receivers, around.clock, limits=self._limits, wall=around.wall, record=around.record, sockets=sockets
        )

    def _make_watch(self) -> OverloadWatch:
        """Let somebody look at the process and the connections."""
        watch = OverloadWatch(
            self.exchanges.overload,
            self._around.clock,
            self._limits,
            doors=self._doors,
            requests=lambda: len(self.exchanges),
        )
        self.front.entering = self.link_front.entering = watch.entering
        watch.setServiceParent(self)  # type: ignore[no-untyped-call]
        return watch

    def _adopt(self, book: Book) -> None:
        """Go over to what the registry says now."""
        if self._admission is not None:
            self._admission.adopt(book)
        self.receivers.adopt(book)

    def follow(self, limits: Limits, admission: Admission) -> None:
        """
        Follow other rules from now on; links and connections that are open keep their caps.

        @param limits: as many caps as can be changed are taken from it.
        @param admission: its rules are taken over.
        """
        self._limits = limits
        self.exchanges.follow(limits)
        self.receivers.follow(limits)
        self._link_factory.follow(limits)
        for factory in (self.front, self.link_front):
            factory.follow(limits)
        if self._admission is not None:
            self._admission.become(admission)
            self.exchanges.forwards_ids = self._admission.forwards_ids

    def listen_on(self, listener: Listener) -> None:
        """Add a listener; it listens when the service starts. The first one is where callers reach the gateway."""
        self._listeners.append(listener)

    def listen_no_more(self, listener: Listener) -> None:
        """Take a listener away while the others go on."""
        self._listeners.remove(listener)
        listener.stop()

    @property
    def draining(self) -> bool:
        """Whether the gateway is on its way out."""
        return self._phase is Phase.DRAINING

    @property
    def condition(self) -> str:
        """C{ok}, C{overloaded} or C{draining}."""
        if self.draining:
            return "draining"
        return "overloaded" if self.exchanges.overload.shedding else "ok"

    @property
    def local_url(self) -> str:
        """Where a program on this machine reaches the first listener."""
        return self._listeners[0].url if self._listeners else ""

    @property
    def url(self) -> str:
        """Where callers reach the gateway."""
        return self.local_url if self._public_url is None else self._public_url

    # --- life -----------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Listen everywhere.

        @raise SettingsError: if one listener fails.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        for listener in self._listeners:
            listener.start()

    def startService(self) -> None:
        """Say where the gateway is."""
        super().startService()  # type: ignore[no-untyped-call]
        self._phase = Phase.RUNNING
        self._started = self._around.clock.seconds()
        self._around.announce(self.url)

    @inlineCallbacks
    def stopService(self) -> Any:
        """
        Drain and stop.

        @return: fires when nothing is left, at most the time to drain later.
        """
        self._phase = Phase.DRAINING
        stopped = DeferredList([listener.stop() for listener in self._listeners], consumeErrors=True)
        self._doors.drain()
        running = len(self.exchanges)
        if running:
            self.log.info("draining: {running} requests are running", running=running)
        deadline = self._around.clock.callLater(self._limits.drain, self.exchanges.cut_all)
        farewell = LoopingCall(self.exchanges.farewell)
        farewell.clock = self._around.clock
        farewell.start(self._limits.farewell, now=False)
        yield self.exchanges.when_idle()
        farewell.stop()
        if deadline.active():
            deadline.cancel()
        links = [receiver.link for receiver in self.receivers.connected()]
        for link in links:
            link.close(1001, "the gateway is stopping")
        self.exchanges.stop()
        yield stopped
        # What was written last is still on its way: a reactor that stops would drop it.
        yield self._flushed(links)
        yield super().stopService()  # type: ignore[no-untyped-call]
        self._phase = Phase.STOPPED

    def _malformed(self, client: tuple[str, int], status: int) -> str:
        """Name and log what was refused before it was a request."""
        number = self._around.request_id()
        self.exchanges.log_malformed(client, status, number)
        return number

    def _flushed(self, links: list[Link]) -> Deferred[None]:
        """@return: fires when every socket is gone, at most the time to linger later."""
        done: Deferred[None] = Deferred()
        deadline = self._around.clock.seconds() + self._limits.linger

        def look() -> None:
            left = self.front.connections + self.link_front.connections
            left += sum(link.state is not LinkState.LOST for link in links)
            if left and self._around.clock.seconds() < deadline:
                self._around.clock.callLater(_LOOK, look)
            else:
                done.callback(None)

        look()
        return done

    def stop_at_once(self) -> None:
        """Wait no longer for requests that run; only while draining."""
        if self.draining:
            self.log.warn("stopping at once: {running} requests are cut", running=len(self.exchanges))
            self.exchanges.cut_all()

    def _is_starting(self) -> bool:
        """Whether receivers of a gateway that was restarted may still be on their way back."""
        return self._around.clock.seconds() - self._started < self._limits.reconnect_most + self._limits.connect_budget

    def _tidy(self) -> None:
        """Forget the paths whose receivers have been gone too long."""
        self.receivers.forget_empty(self._around.clock.seconds() - self._limits.route_memory)

    def _hello(self, identity: Identity) -> Hello:
        """Say who we are to a receiver; it opens no streams."""
        limits = self._limits
        return Hello(
            versions=[v2.VERSION],
            window=limits.stream_window,
            connection_window=limits.connection_credit(limits.in_flight),
            max_streams=0,
            max_frame=limits.frame,
            software=f"anp-twisted/{__version__}",
            public_url=self.url,
            worker=self._place.number,
            workers=self._place.among,
        )

    # --- figures --------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """
        Describe what goes on, for the management page.

        @return: figures that JSON knows; bytes, counts and seconds.
        """
        return {
            "requests": {
                "running": len(self.exchanges),
                "parked": self.receivers.parked,
                "served": self.exchanges.served,
                "repeated": self.exchanges.repeated,
                "malformed_answers": self.exchanges.malformed,
                "gave_way": self.exchanges.gave_way,
            },
            "connections": self.front.connections + self.link_front.connections,
            "receivers": [
                {
                    "name": receiver.name,
                    "link": receiver.number,
                    "in_flight": receiver.in_flight,
                    "capacity": receiver.capacity,
                    "streams": len(receiver.link.connection.streams),
                    "version": receiver.link.version,
                    "lost_values": receiver.link.connection.losses,
                    "rtt": receiver.link.rtt,
                    "paths": [str(pool.place) for pool in receiver.pools],
                }
                for receiver in self.receivers.connected()
            ],
            "receivers_refused": self.entrance.refused,
            "callers_refused": {} if self._admission is None else dict(self._admission.refused),
            "overload": self.watch.figures(),
            "registry": {} if self._registry is None else self._registry.figures(),
            "process": {
                "descriptors": self.exchanges.overload.last.descriptors or None,
                "timers": len(self._around.clock.getDelayedCalls()),
            },
        }
