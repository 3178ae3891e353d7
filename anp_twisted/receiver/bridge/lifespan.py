"""The one call of the application that lasts as long as the receiver."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import AppStartError
from anp_twisted.lifespan import Lifespan, Mode, Phase
from anp_twisted.receiver.asgi import App, Message
from anp_twisted.receiver.bridge.call import PATIENCE, run
from anp_twisted.tasks import Bell

_log = Logger()

_MOST_LINES: Final = 60
"""Lines of what an application says when it fails to start or stop."""


class LifespanCall:
    """
    The one call of the application with a lifespan scope.

    @ivar lifespan: how far it is.
    """

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, mode: Mode = Mode.AUTO) -> None:
        self.lifespan = Lifespan(mode)
        self._app = app
        self._loop = loop
        self._bell = Bell(loop)
        self._task: asyncio.Task[None] | None = None

    async def start(self, most: float) -> None:
        """
        Ask the application to start.

        @param most: seconds it may take.
        @raise AppStartError: if it says it cannot, or takes longer.
        """
        if self.lifespan.mode is Mode.OFF:
            return
        work = run(self._app, self.lifespan.scope, self._receive, self._send)
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._ended)
        if not await self._settle(most):
            raise AppStartError(f"the application did not start within {most:g} s")
        if self.lifespan.phase is Phase.REFUSED:
            self._report("the application could not start:")
            raise AppStartError(f"the application could not start: {_last_line(self.lifespan.complaint)}")

    async def stop(self, most: float) -> None:
        """
        Ask the application to stop, and end its lifespan.

        @param most: seconds it may take.
        """
        self.lifespan.stop()
        self._bell.ring()
        try:
            if not await self._settle(most):
                _log.error("the application did not stop within {most} s", most=most)
            elif self.lifespan.phase is Phase.STOPPED and self.lifespan.complaint:
                self._report("the application failed to stop:")
        finally:
            await self._end()

    def _report(self, what: str) -> None:
        """Log what the application said; frameworks say a whole traceback."""
        for line in [what, *self.lifespan.complaint.splitlines()[-_MOST_LINES:]]:
            _log.error("{line}", line=line)

    async def _end(self) -> None:
        """Leave no task behind."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)

    async def _settle(self, most: float) -> bool:
        """Wait until there is nothing to wait for; tell whether that came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                while not self.lifespan.settled:
                    await self._bell.wait()
        if not self.lifespan.settled:
            await self._end()
            return False
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        """See to a lifespan that is over, by whatever way."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._note(error)
        self.lifespan.returned()
        self._bell.ring()

    def _note(self, error: BaseException) -> None:
        """Log what ended the lifespan, unless the application said so itself."""
        if self.lifespan.phase is Phase.STARTING and self.lifespan.mode is Mode.AUTO:
            _log.info("the application takes no part in the lifespan ({kind})", kind=type(error).__name__)
        elif not self.lifespan.complaint:
            _log.failure("the lifespan of the application failed", failure=Failure(error))

    async def _receive(self) -> Message:
        """Ask the application what it is to do."""
        while (message := self.lifespan.next_message()) is None:
            await self._bell.wait()
        return message

    async def _send(self, message: Message) -> None:
        """Take its answer."""
        self.lifespan.send(message)
        self._bell.ring()


def _last_line(text: str) -> str:
    """Find the line of a traceback that says what is wrong."""
    return text.strip().splitlines()[-1].strip()
