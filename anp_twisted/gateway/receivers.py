"""
The receivers that are connected, and who waits for one.

Each link belongs to one process and each request to one link; when a link goes,
what was bound to it goes with it, and nothing of an old link can answer for a
new one. A process may have several links: it takes part in the balance once, and
each of its requests goes over the link with the least in flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from anp_twisted.auth.identity import Identity
from anp_twisted.errors import ANPError, Code, CredentialsRefused
from anp_twisted.gateway.balancer import Member, Pool
from anp_twisted.gateway.routes import RouteTable
from anp_twisted.gateway.territory import CredentialsEnded, Territory
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import Limits
from anp_twisted.paths import AmbiguousTarget, InvalidPrefix, prefix_key
from anp_twisted.places import Place
from anp_twisted.registry.book import Book, PlaceRefused
from anp_twisted.session.events import GoawayReceived, RequestReceived
from anp_twisted.transports.link import Link
from anp_twisted.wire.heads import WORKERS, Hello

_MOST_SHOWN: Final = 64
"""Places named in one line of the log."""


class Process(Member):
    """
    A receiver process, as the balance sees it: whatever the number of its links, it has one capacity.

    @ivar identity: whose process it is.
    @ivar announced: the prefix keys that it announces.
    @ivar serving: its links that take requests.
    @ivar links: how many links it has, those that drain included.
    """

    __slots__ = ("announced", "identity", "key", "links", "serving")

    def __init__(self, name: str, capacity: int, key: object, identity: Identity, announced: Sequence[bytes]) -> None:
        """
        @param key: what its links have in common.
        """
        super().__init__(name, capacity)
        self.key = key
        self.identity = identity
        self.announced = announced
        self.serving: list[Receiver] = []
        self.links = 0

    @property
    def places(self) -> list[Place]:
        """Where it takes requests."""
        return [pool.place for pool in self.pools]

    def least(self) -> Receiver:
        """Find the link with the least in flight."""
        serving = self.serving
        return serving[0] if len(serving) == 1 else min(serving, key=_in_flight)


class Receiver:
    """
    A link of a receiver.

    @ivar link: the connection.
    @ivar process: at the other end of it.
    @ivar number: of the link among those of its process.
    @ivar name: for logs.
    @ivar in_flight: requests on this link.
    """

    __slots__ = ("in_flight", "link", "name", "number", "process")

    def __init__(self, link: Link, process: Process, number: int) -> None:
        self.link = link
        self.process = process
        self.number = number
        self.name = f"{link.identity}@{link.remote}"
        self.in_flight = 0

    @property
    def capacity(self) -> int:
        """Requests that the process works on at once, over all of its links."""
        return self.process.capacity

    @property
    def pools(self) -> list[Pool]:
        """The pools that this link gets requests of."""
        return self.process.pools if self in self.process.serving else []


def _in_flight(receiver: Receiver) -> int:
    return receiver.in_flight


class Waiter(Protocol):
    """A request that waits for a receiver."""

    request: PublicRequest

    def dispatch(self, receiver: Receiver) -> None:
        """Go on with this receiver; it has room."""

    def move(self, pool: Pool) -> None:
        """Wait in another pool, or go on if a receiver of it has room."""


class Receivers:
    """
    The table of links; it is the owner that every link tells of its life.

    @ivar routes: the pools by place.
    @ivar territory: who may be where.
    @ivar parked: requests that wait for a receiver.
    @ivar lobby: where those wait whose path nobody serves yet.
    """

    log = Logger()

    def __init__(
        self,
        routes: RouteTable,
        clock: IReactorTime,
        limits: Limits,
        *,
        shared_by: int = 0,
        territory: Territory | None = None,
    ) -> None:
        """
        @param territory: who may be where; without one, whoever comes first.
        @param shared_by: the processes that a receiver links to if it can, and divides its capacity among.
        """
        self.routes = routes
        self.territory = territory or Territory(clock.seconds, limits)
        self.lobby = Pool(b"*")
        self._shared_by = max(1, shared_by)
        # Its links to other processes have numbers too, and while it looks for one it has one more.
        self._most_links = limits.links * (shared_by + 1 if shared_by > 1 else 1)
        self.parked = 0
        self._clock = clock
        self._limits = limits
        self._by_link: dict[Link, Receiver] = {}
        self._by_number: dict[tuple[Identity, str, int], Receiver] = {}
        self._processes: dict[object, Process] = {}

    def __len__(self) -> int:
        return len(self._by_link)

    def connected(self) -> list[Receiver]:
        """List the receivers that are connected, those that drain included."""
        return list(self._by_link.values())

    # --- links ----------------------------------------------------------

    def link_open(self, link: Link) -> None:
        """Let a receiver take part; an older link of the same process and number is ended first."""
        hello = link.connection.peer
        assert hello is not None, "a link is open before its HELLO"
        try:
            keys = sorted({prefix_key(path) for path in hello.paths})
        except InvalidPrefix as error:
            self.log.warn("receiver at {remote} refused: {reason}", remote=link.remote, reason=str(error))
            link.close(error.close_code, "a path that is no prefix")
            return
        limits = self._limits
        many = len(keys) > limits.routes_per_receiver or len(self._by_link) >= limits.receivers
        if many or hello.link >= self._most_links:
            self.log.warn("receiver at {remote} refused: too many of them, or of its paths", remote=link.remote)
            link.close(1013, "too many")
            return
        try:
            places = self._allowed(link.identity, keys)
        except PlaceRefused as error:
            self.log.warn("receiver {who} at {remote} refused: {reason}",
                          who=link.identity, remote=link.remote, reason=str(error))  # fmt: skip
            link.close(error.close_code, "not a place of yours")
            return
        self._take_part(link, hello, keys, places)

    def _allowed(self, identity: Identity, keys: list[bytes]) -> list[Place]:
        """
        Find where a receiver may be.

        @raise PlaceRefused: somebody else is there, or it may not for another reason.
        """
        places = self.territory.places(identity, keys)
        for place in places:
            pool = self.routes.get(place)
            if pool is not None and pool.owner not in (None, identity) and not self.territory.owns(identity, place):
                raise PlaceRefused(f"{place} is served by {pool.owner}")
        return places

    def _take_part(self, link: Link, hello: Hello, keys: list[bytes], places: list[Place]) -> None:
        """Let a receiver be where it may be."""
        # One that drains is not among these: what runs on it may end beside the new one.
        old = self._by_number.get((link.identity, hello.instance, hello.link))
        if old is not None:
            self.withdraw(old)
        self._join(Receiver(link, self._process_of(link, hello, keys), hello.link), places)
        if old is not None:
            # Not earlier: what can be asked again of the new link is not to fail for want of one.
            self.log.info("receiver {name} connected again; its old link is cut", name=old.name)
            old.link.abort(ANPError("replaced by a newer link"))

    def _process_of(self, link: Link, hello: Hello, keys: list[bytes]) -> Process:
        """
        Find the process at the other end of a link.

        Links are of one process if they say so and agree about it: what one says
        of paths and capacity never counts for another.
        """
        limits = self._limits
        capacity = max(1, min(hello.capacity, hello.max_streams, limits.in_flight, limits.streams))
        if WORKERS in hello.features:
            capacity = -(-capacity // self._shared_by)
        key = (link.identity, hello.instance, capacity, tuple(keys)) if hello.instance else link
        found = self._processes.get(key)
        if found is None:
            name = f"{link.identity}@{link.remote}"
            found = self._processes[key] = Process(name, capacity, key, link.identity, keys)
        return found

    def _join(self, receiver: Receiver, places: list[Place]) -> None:
        """Let a link take requests, and its process, if that took none before."""
        link, process = receiver.link, receiver.process
        self._by_link[link] = receiver
        assert link.connection.peer is not None, "a receiver is one since its HELLO"
        instance = link.connection.peer.instance
        if instance:
            self._by_number[link.identity, instance, receiver.number] = receiver
        process.links += 1
        process.serving.append(receiver)
        paths = " ".join(map(str, places[:_MOST_SHOWN])) + (" …" if len(places) > _MOST_SHOWN else "")
        which = f" (link {receiver.number + 1})" if receiver.number else ""
        self.log.info("receiver {name}{which} connected, serves {paths}", name=receiver.name, which=which, paths=paths)
        if len(process.serving) == 1:
            self._settle(process, places)

    def _settle(self, process: Process, places: list[Place]) -> None:
        """Put a process into pools, and serve who waits there."""
        pools = [self.routes.pool(place) for place in places]
        for pool in pools:
            pool.owner = process.identity
            pool.add(process)
        for pool in pools:
            self._serve(pool)
        self._clear_lobby()

    def adopt(self, book: Book) -> None:
        """
        Go over to what the registry says now.

        Who may be in other places than before is moved there while its requests
        run on; who may be nowhere any more is sent away.
        """
        changed = book is not self.territory.book
        self.territory.book = book
        for receiver in self.connected():
            self._check(receiver)
        if not changed:
            return
        self.routes.adopt(book)
        moves = [(process, self._where_now(process)) for process in list(self._processes.values()) if process.serving]
        # All leave before any come: a place may go from one to another.
        for process, places in moves:
            for pool in [pool for pool in process.pools if pool.place not in places]:
                pool.remove(process, self._clock.seconds())
        for process, places in moves:
            if places:
                here = set(process.places)
                self._settle(process, [place for place in places if place not in here])
            else:
                self._send_away(process)

    def follow(self, limits: Limits) -> None:
        """Go by other caps from now on; the capacity of those that are here stays."""
        self._limits = limits

    def send_away(self, identity: Identity, why: str) -> int:
        """
        Close the links of somebody whose proof is not good any more.

        @param why: a short public text.
        @return: how many there were.
        """
        links = [receiver for receiver in self.connected() if receiver.link.identity == identity]
        for receiver in links:
            self.withdraw(receiver)
            receiver.link.close(CredentialsRefused.close_code, why)
        return len(links)

    def _check(self, receiver: Receiver) -> None:
        """Send a receiver away whose token is not valid any more, also while it drains."""
        try:
            self.territory.check(receiver.link.identity)
        except CredentialsEnded as error:
            self.log.warn("receiver {name} is sent away: {reason}", name=receiver.name, reason=str(error))
            self.withdraw(receiver)
            receiver.link.close(error.close_code, "not allowed any more")

    def _where_now(self, process: Process) -> list[Place]:
        """Find where a process may be, nowhere if it may not be at all."""
        try:
            return self._allowed(process.identity, list(process.announced))
        except PlaceRefused as error:
            self.log.warn("receiver {name} is sent away: {reason}", name=process.name, reason=str(error))
            return []

    def _send_away(self, process: Process) -> None:
        """End the links of a process, and what runs on them."""
        for receiver in list(process.serving):
            self.withdraw(receiver)
            receiver.link.close(PlaceRefused.close_code, "not allowed any more")

    def _clear_lobby(self) -> None:
        """Let those who waited for any receiver see whether theirs is among them now."""
        for waiter in list(self.lobby.waiting):
            with suppress(AmbiguousTarget):
                pool = self.routes.match(waiter.request.host, waiter.request.target)
                if pool is not None:
                    waiter.move(pool)

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        """Send no new request to a receiver that drains."""
        receiver = self._by_link.get(link)
        if isinstance(event, RequestReceived):
            event.stream.reset(Code.REFUSED, "gateway", "a gateway takes no requests", dispatched=False)
        elif receiver is not None:
            self.log.info("receiver {name} drains", name=receiver.name)
            self.withdraw(receiver)

    def link_lost(self, link: Link, reason: ANPError) -> None:
        """Forget a receiver."""
        receiver = self._by_link.pop(link, None)
        if receiver is None:
            return
        self.withdraw(receiver)
        process = receiver.process
        process.links -= 1
        if not process.links:
            del self._processes[process.key]
        self.log.info("receiver {name} is gone: {reason}", name=receiver.name, reason=str(reason) or "closed")

    def retire(self, receiver: Receiver) -> None:
        """Let what runs on a link end, then close it; the receiver makes a new one meanwhile."""
        link = receiver.link
        self.withdraw(receiver)
        link.leave().addCallback(lambda _: link.close(1001, "no more streams"))

    def withdraw(self, receiver: Receiver) -> None:
        """Send no new request over a link; nothing happens if that is so already."""
        process = receiver.process
        if receiver not in process.serving:
            return
        process.serving.remove(receiver)
        peer = receiver.link.connection.peer
        assert peer is not None, "a receiver is one since its HELLO"
        self._by_number.pop((receiver.link.identity, peer.instance, receiver.number), None)
        if not process.serving:
            for pool in list(process.pools):
                pool.remove(process, self._clock.seconds())

    # --- requests -------------------------------------------------------

    def choose(self, pool: Pool, avoid: Receiver | None = None) -> Receiver | None:
        """
        Find the receiver for a request and count the request as its own.

        @param avoid: another process is taken than that of this one, if there is one with room.
        @return: C{None} while none has room; who gets one calls L{release}.
        """
        member = pool.choose(None if avoid is None else avoid.process)
        if member is None:
            return None
        assert isinstance(member, Process)
        member.take()
        receiver = member.least()
        receiver.in_flight += 1
        return receiver

    def release(self, receiver: Receiver) -> None:
        """Give a receiver its room back; whoever waits longest gets it."""
        receiver.in_flight -= 1
        process = receiver.process
        process.give_back()
        for pool in process.pools:
            self._serve(pool)

    def park(self, pool: Pool, waiter: Waiter) -> bool:
        """
        Let a request wait for a receiver.

        @return: C{False} if too many wait already.
        """
        if self.parked >= self._limits.parked:
            return False
        self.parked += 1
        pool.waiting.append(waiter)
        return True

    def unpark(self, pool: Pool, waiter: Waiter) -> None:
        """Take back a request that waits."""
        pool.waiting.remove(waiter)
        self.parked -= 1

    def _serve(self, pool: Pool) -> None:
        """Dispatch those that wait while there is room."""
        while pool.waiting:
            receiver = self.choose(pool)
            if receiver is None:
                return
            waiter = pool.waiting.popleft()
            self.parked -= 1
            waiter.dispatch(receiver)

    def forget_empty(self, older_than: float) -> None:
        """Drop the prefixes whose last receiver left before a point in time."""
        for pool in self.routes.pools():
            if pool.empty_since is not None and pool.empty_since < older_than and not pool.waiting:
                self.routes.drop(pool.place)
