"""
The life of an ASGI application that is an agent: it is started with the gateway, and told when that stops.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.agents.asgi import App, Message
from anp_twisted.errors import BackendFault
from anp_twisted.lifespan import Lifespan, Phase
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks

_log = Logger()


class AppLife:
    """
    The one call of the application with a lifespan scope.

    An application that knows nothing of lifespans is served all the same.
    """

    def __init__(self, app: App, tasks: Tasks, limits: Limits) -> None:
        self._app = app
        self._tasks = tasks
        self._limits = limits
        self._lifespan = Lifespan()
        self._bell = tasks.bell()

    @property
    def state(self) -> dict[str, Any]:
        """
        What it keeps for its requests.
        """
        return self._lifespan.state

    def start(self) -> None:
        """Ask it to start, in a later turn of the loop. To be called once."""
        self._task = self._tasks.start(self._call(), self._over)

    async def ready(self) -> None:
        """
        Wait until it has started.

        @raise BackendFault: it could not.
        """
        while not self._lifespan.settled and self._lifespan.phase is Phase.STARTING:
            await self._bell.wait()
        if self._lifespan.phase is Phase.REFUSED:
            raise BackendFault("the application could not start")

    def stop(self) -> Deferred[None]:
        """
        Ask it to stop, and wait for it, but not for ever.

        @return: fires when it has stopped or its time is over; it never fails.
        """
        self._lifespan.stop()
        self._bell.ring()
        if self._task.done():
            return succeed(None)
        stopped = self._tasks.deferred(self._stopped())
        stopped.addTimeout(self._limits.shutdown, self._tasks.clock)
        return stopped.addBoth(lambda _: None).addCallback(self._end)

    def _end(self, result: None) -> None:
        """Leave no task behind."""
        self._task.cancel()

    async def _stopped(self) -> None:
        while not self._lifespan.settled:
            await self._bell.wait()

    async def _call(self) -> None:
        await self._app(self._lifespan.scope, self._receive, self._send)

    def _over(self, error: BaseException | None) -> None:
        """It returned or raised; one that takes no part in lifespans does so at once."""
        taking_part = self._lifespan.phase in (Phase.RUNNING, Phase.STOPPING)
        if error is not None and taking_part:
            _log.failure("the lifespan of an agent's application failed", failure=Failure(error))
        self._lifespan.returned()
        self._bell.ring()

    async def _receive(self) -> Message:
        while (message := self._lifespan.next_message()) is None:
            await self._bell.wait()
        return message

    async def _send(self, message: Message) -> None:
        self._lifespan.send(message)
        if self._lifespan.complaint:
            # What it says may be a whole traceback, and is for the operator alone.
            _log.error("an agent's application: {complaint}", complaint=self._lifespan.complaint[-2000:])
        self._bell.ring()
