"""
The receivers that are connected, and who waits for one.

Each link belongs to one receiver and each request to one link; when a link goes,
what was bound to it goes with it, and nothing of an old link can answer for a
new one.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from anp_twisted.errors import ANPError, Code
from anp_twisted.gateway.balancer import Member, Pool
from anp_twisted.gateway.routes import InvalidPrefix, RouteTable, prefix_key
from anp_twisted.limits import Limits
from anp_twisted.session.events import GoawayReceived, RequestReceived
from anp_twisted.transports.link import Link


class Receiver(Member):
    """
    A receiver that is connected.

    @ivar link: its connection.
    @ivar instance: names its process among those of the same identity.
    """

    __slots__ = ("instance", "link")

    def __init__(self, link: Link, name: str, instance: str, capacity: int) -> None:
        super().__init__(name, capacity)
        self.link = link
        self.instance = instance


class Waiter(Protocol):
    """A request that waits for a receiver."""

    def dispatch(self, receiver: Receiver) -> None:
        """Go on with this receiver; it has room."""


class Receivers:
    """
    The table of links; it is the owner that every link tells of its life.

    @ivar routes: the pools by prefix.
    @ivar parked: requests that wait for a receiver.
    """

    log = Logger()

    def __init__(self, routes: RouteTable, clock: IReactorTime, limits: Limits) -> None:
        self.routes = routes
        self.parked = 0
        self._clock = clock
        self._limits = limits
        self._by_link: dict[Link, Receiver] = {}
        self._by_instance: dict[tuple[str, str], Receiver] = {}

    def __len__(self) -> int:
        return len(self._by_link)

    def connected(self) -> list[Receiver]:
        """List the receivers that are connected, those that drain included."""
        return list(self._by_link.values())

    # --- links ----------------------------------------------------------

    def link_open(self, link: Link) -> None:
        """Let a receiver take part; an older link of the same process is ended first."""
        hello = link.connection.peer
        assert hello is not None, "a link is open before its HELLO"
        try:
            keys = sorted({prefix_key(path) for path in hello.paths or ["/"]})
        except InvalidPrefix as error:
            self.log.warn("receiver at {remote} refused: {reason}", remote=link.remote, reason=str(error))
            link.close(error.close_code, "a path that is no prefix")
            return
        if len(keys) > self._limits.routes_per_receiver or len(self._by_link) >= self._limits.receivers:
            self.log.warn("receiver at {remote} refused: too many of them, or of its paths", remote=link.remote)
            link.close(1013, "too many")
            return
        self._replace(link.identity, hello.instance)
        capacity = min(hello.capacity, hello.max_streams, self._limits.in_flight, self._limits.streams)
        receiver = Receiver(link, f"{link.identity}@{link.remote}", hello.instance, max(1, capacity))
        self._join(receiver, keys)

    def _replace(self, identity: str, instance: str) -> None:
        """End the older link of a process that connects again."""
        old = self._by_instance.pop((identity, instance), None) if instance else None
        if old is not None:
            self.log.info("receiver {name} connected again; its old link is cut", name=old.name)
            old.link.abort(ANPError("replaced by a newer link"))

    def _join(self, receiver: Receiver, keys: list[bytes]) -> None:
        """Put a receiver into its pools and serve who waits there."""
        link = receiver.link
        self._by_link[link] = receiver
        if receiver.instance:
            self._by_instance[link.identity, receiver.instance] = receiver
        pools = [self.routes.pool(key) for key in keys]
        for pool in pools:
            pool.add(receiver)
        paths = " ".join(key.decode("ascii") or "/" for key in keys)
        self.log.info("receiver {name} connected, serves {paths}", name=receiver.name, paths=paths)
        for pool in pools:
            self._serve(pool)

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        """Send no new request to a receiver that drains."""
        receiver = self._by_link.get(link)
        if isinstance(event, RequestReceived):
            event.stream.reset(Code.REFUSED, "gateway", "a gateway takes no requests", dispatched=False)
        elif receiver is not None:
            self.log.info("receiver {name} drains", name=receiver.name)
            self._leave_pools(receiver)

    def link_lost(self, link: Link, reason: ANPError) -> None:
        """Forget a receiver."""
        receiver = self._by_link.pop(link, None)
        if receiver is None:
            return
        key = (link.identity, receiver.instance)
        if self._by_instance.get(key) is receiver:
            del self._by_instance[key]
        self._leave_pools(receiver)
        self.log.info("receiver {name} is gone: {reason}", name=receiver.name, reason=str(reason) or "closed")

    def retire(self, receiver: Receiver) -> None:
        """Send no new request to a receiver whose link takes none any more; it will make a new one."""
        self._leave_pools(receiver)
        receiver.link.leave()

    def _leave_pools(self, receiver: Receiver) -> None:
        """Take a receiver out of its pools."""
        for pool in list(receiver.pools):
            pool.remove(receiver, self._clock.seconds())

    # --- requests -------------------------------------------------------

    def choose(self, pool: Pool) -> Receiver | None:
        """
        Find the receiver for a request and count the request as its own.

        @return: C{None} while none has room; who gets one calls L{release}.
        """
        member = pool.choose()
        if member is None:
            return None
        assert isinstance(member, Receiver)
        member.take()
        return member

    def release(self, receiver: Receiver) -> None:
        """Give a receiver its room back; whoever waits longest gets it."""
        receiver.give_back()
        for pool in receiver.pools:
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
                self.routes.drop(pool.key)
