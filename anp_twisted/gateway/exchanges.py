"""
The exchanges that are alive: their numbers, their time, and their line in the log.

One timer looks at all of them once a second while there are any. A timer for
each request would cost more than the request's own work here.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from anp_twisted.access import AccessRecord
from anp_twisted.gateway.balancer import Pool
from anp_twisted.gateway.exchange import Exchange, Step
from anp_twisted.gateway.overload import Overload
from anp_twisted.gateway.receivers import Receivers
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import Limits
from anp_twisted.problems import Source, problem
from anp_twisted.transports.caller import CallerSockets

#: Seconds between two looks; a budget is exceeded by no more than this.
_SWEEP = 1.0


#: Seconds between two searches for callers who could give way; each looks at all exchanges.
_SEARCH = 0.25

#: How much less patience there is when as many wait as are served.
_URGENCY = 4

#: What the caller hears when the budget of a step is used up.
_EXPIRED: dict[Step, tuple[int, Source, str]] = {
    Step.PARKED: (503, "gateway", "no receiver had room in time"),
    Step.ASKED: (504, "receiver", "the receiver did not begin to answer in time"),
    Step.ANSWERING: (504, "receiver", "the receiver stopped answering"),
}


class Exchanges:
    """
    The table.

    @ivar receivers: who can answer.
    @ivar clock: what time is measured with.
    @ivar served: exchanges that have ended.
    @ivar closing: seconds for the two ends of a WebSocket to end together.
    @ivar repeated: requests that were asked of another receiver, counting each time.
    @ivar most_asked: how many receivers one request is asked of.
    @ivar malformed: answers that were not HTTP.
    @ivar gave_way: exchanges cut since their callers held up others.
    @ivar overload: whether new requests are turned away.
    @ivar forwards_ids: applications get the id of a request as a header field too.
    """

    log = Logger()

    def __init__(
        self,
        receivers: Receivers,
        clock: IReactorTime,
        *,
        limits: Limits,
        wall: Callable[[], float],
        record: Callable[[AccessRecord], None] | None,
        sockets: CallerSockets | None = None,
    ) -> None:
        """
        @param limits: the time budgets of a request are among them.
        @param wall: the time of day, in seconds since the epoch, for the log.
        @param record: gets one record for each exchange that ended, if anybody wants them.
        @param sockets: makes the WebSockets of callers; without compression by default.
        """
        self.receivers = receivers
        self.clock = clock
        self.served = 0
        self.repeated = 0
        self.most_asked = limits.dispatches
        self.closing = limits.closing
        self.sockets = sockets or CallerSockets(clock, limits)
        self.malformed = 0
        self.gave_way = 0
        self.forwards_ids = False
        self.overload = Overload(limits)
        self._patience = limits.patience
        self._next_search = 0.0
        self._retry = limits.overload_retry
        self._wall = wall
        self._record = record
        self._alive: dict[Exchange, None] = {}
        self._sweeping: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []
        self.follow(limits)

    def follow(self, limits: Limits) -> None:
        """Go by other budgets and marks from now on, for requests that run as well."""
        self.overload.follow(limits)
        self._crowd = self.overload.crowd
        self._total = limits.total_budget
        self._lobby_budget = limits.reconnect_most + limits.connect_budget
        self._step_budget = {
            Step.PARKED: limits.connect_budget,
            Step.ASKED: limits.first_byte_budget,
            Step.ANSWERING: limits.idle_budget,
        }

    def __len__(self) -> int:
        return len(self._alive)

    def add(self, exchange: Exchange) -> None:
        """Count an exchange and watch its time."""
        self._alive[exchange] = None
        if len(self._alive) >= self._crowd:
            self.overload.crowded(self.clock.seconds())
        if self._sweeping is None:
            self._sweeping = self.clock.callLater(_SWEEP, self._sweep)

    def remove(self, exchange: Exchange) -> None:
        """Let an exchange go and log it."""
        del self._alive[exchange]
        self.served += 1
        if self._record is not None:
            self.log_request(exchange.request, exchange.id, exchange.source, exchange.receiver_name)
        if not self._alive:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    def log_request(self, request: PublicRequest, number: str, source: str, receiver: str = "") -> None:
        """Log a request that has ended."""
        if self._record is None:
            return
        self._record(
            AccessRecord(
                self._wall(),
                number,
                request.client[0],
                str(request.method, "latin-1"),
                str(request.target, "latin-1"),
                request.status,
                request.sent,
                request.body_bytes,
                self.clock.seconds() - request.received,
                receiver,
                source,
            )
        )

    def log_malformed(self, client: tuple[str, int], status: int, number: str) -> None:
        """Log what was refused before it was a request."""
        if self._record is None:
            return
        self._record(AccessRecord(self._wall(), number, client[0], "-", "-", status, 0, 0, 0.0, "", "gateway"))

    def answer_problem(
        self, request: PublicRequest, number: str, what: tuple[int, Source, str], retry_after: float | None
    ) -> None:
        """Answer with a problem document."""
        status, source, title = what
        headers, body = problem(status, source, title, number, retry_after)
        request.respond(status, headers, body=body)

    def refuse(
        self, request: PublicRequest, number: str, what: tuple[int, Source, str], retry_after: float | None = None
    ) -> None:
        """Answer and log a request that goes nowhere."""
        self.answer_problem(request, number, what, retry_after)
        self.log_request(request, number, what[1])

    def turn_away(self, request: PublicRequest, number: str) -> None:
        """Answer a request that comes while there are too many."""
        self.overload.turned_away += 1
        self.refuse(request, number, (503, "gateway", "the gateway is overloaded"), self._retry)

    def left_of_total(self, exchange: Exchange) -> float:
        """How many seconds an exchange still has as a whole; 0 is no limit."""
        if not self._total:
            return 0.0
        return max(0.001, self._total - (self.clock.seconds() - exchange.request.received))

    def make_room(self, pool: Pool, wanted: int = 1) -> bool:
        """
        Cut the exchanges of this pool whose callers have held them up for longest.

        Who sends or reads a byte now and then costs little, but it holds the room of
        a receiver: a hundred of them would keep everybody else out. While there is
        room for all, nobody minds them.

        @param wanted: how many to cut at most.
        @return: whether there was one that could be cut.
        """
        now = self.clock.seconds()
        if now < self._next_search:
            return False
        held = [(one.held_up(now), one) for one in self._alive if one.receiver and pool in one.receiver.pools]
        # Those who come faster than the slow ones go would wait longer and longer.
        pressure = max(1.0, _URGENCY * (wanted - 1) / (len(held) or 1))
        slow = [pair for pair in held if pair[0] * pressure >= self._patience]
        if not slow:
            self._next_search = now + _SEARCH
            return False
        slow.sort(key=lambda pair: pair[0], reverse=True)
        for _, exchange in slow[:wanted]:
            self.gave_way += 1
            exchange.expire(408, "gateway", "the caller is slow, and others wait")
        return True

    def when_idle(self) -> Deferred[None]:
        """@return: fires when no exchange is alive."""
        deferred: Deferred[None] = Deferred()
        if self._alive:
            self._idle.append(deferred)
        else:
            deferred.callback(None)
        return deferred

    def farewell(self) -> None:
        """End the WebSockets that are open; to be called every now and then while the gateway stops."""
        for exchange in list(self._alive):
            exchange.farewell()

    def cut_all(self) -> None:
        """End what is alive, since the time to drain is over."""
        for exchange in list(self._alive):
            exchange.expire(503, "gateway", "the gateway is stopping")

    def stop(self) -> None:
        """Stop the timer."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def _sweep(self) -> None:
        """End the exchanges whose time is over."""
        self._sweeping = None
        now = self.clock.seconds()
        for exchange in list(self._alive):
            try:
                self._look_at(exchange, now)
            except Exception:  # noqa: BLE001
                # boundary: one that fails must not stop the clock for all.
                self.log.failure("{id}: its time could not be looked at", id=exchange.id)
        if self.receivers.parked:
            self._make_way()
        if self._alive and self._sweeping is None:
            self._sweeping = self.clock.callLater(_SEARCH if self.receivers.parked else _SWEEP, self._sweep)

    def _make_way(self) -> None:
        """Make room for those that wait, now that some callers may have been slow for long enough."""
        for pool in {one.pool for one in self._alive if one.step is Step.PARKED}:
            self._next_search = 0.0
            self.make_room(pool, len(pool.waiting))

    def _look_at(self, exchange: Exchange, now: float) -> None:
        """End one exchange if its time is over; while the caller is slow only the caller's time runs."""
        if exchange.step is Step.OPEN:
            exchange.look(now)
            return
        if self._total and now - exchange.request.received >= self._total:
            exchange.expire(504, "gateway", "the request took too long")
            return
        budget = self._lobby_budget if exchange.in_lobby else self._step_budget.get(exchange.step, 0.0)
        if budget and not exchange.caller_is_slow and now - exchange.touched >= budget:
            exchange.expire(*_EXPIRED[exchange.step])
