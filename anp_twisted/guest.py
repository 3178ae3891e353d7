"""
A reactor as a guest on an asyncio loop that somebody else runs: uvicorn, a notebook, a test, C{asyncio.run}.

It asks nothing of the process: another reactor may be there, each loop gets a guest
of its own, and when the last one who needed it has left, its descriptors and
threads are gone. While there is no other, it is the global reactor as well, since
parts of Twisted look for one even where they were given another.

Twisted keeps what is needed for that under private names. A guest is Twisted's own
asyncio reactor in all else, and C{test_guest.py} looks after the names.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from threading import Thread
from typing import Any, Final

import twisted.internet
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.main import installReactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure

_GLOBAL: Final = "twisted.internet.reactor"

_PATIENCE: Final = 2.0
"""Seconds that threads have to end; one may be in the middle of a name lookup."""


class GuestReactor(AsyncioSelectorReactor):
    """The reactor; it is made and closed by L{Visit}s."""

    _registerAsIOThread = False  # the process may have another reactor, which wants to be that
    threadpool: Any
    waker: Any

    def crash(self) -> None:
        """End, as a part of the shutdown. Twisted's own method stops the loop as well, which is not ours."""
        PosixReactorBase.crash(self)

    async def close(self) -> None:
        """Give everything back; what is still connected is cut."""
        await self._end_threads()
        self.fireSystemEvent("shutdown")
        self._removeInternalReader(self.waker)
        self.waker.connectionLost(Failure(ConnectionDone()))
        timer: Any = self._timerHandle
        if timer is not None:
            timer.cancel()

    async def _end_threads(self) -> None:
        """Let the threads for name lookups end, without standing still meanwhile."""
        pool, self.threadpool = self.threadpool, None
        if pool is None:
            return
        if self.threadpoolShutdownID is not None:
            self.removeSystemEventTrigger(self.threadpoolShutdownID)
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def join() -> None:
            pool.stop()
            with suppress(RuntimeError):  # the loop is closed, since it was not waited for
                loop.call_soon_threadsafe(ended.set)

        # An executor of the loop would do it too, but its own thread would stay.
        joining = Thread(target=join, name="anp-twisted-farewell", daemon=True)
        joining.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _PATIENCE)
            joining.join()


_guests: dict[asyncio.AbstractEventLoop, tuple[GuestReactor, int]] = {}
"""The guest of each loop, and how many visits it is there for."""


class Visit:
    """
    The use of a reactor on the running loop.

    @ivar reactor: to be used until L{end}.
    @ivar hosted: whether the reactor was there without us, so that somebody else looks after it.
    """

    def __init__(self) -> None:
        """
        Begin. To be called while the loop runs.
        """
        self._loop = loop = asyncio.get_running_loop()
        for closed in [one for one in _guests if one.is_closed()]:
            _retire(_guests.pop(closed)[0])  # its program ended without ending its visits
        found = None if loop in _guests else _global_reactor(loop)
        self.hosted = found is not None
        self.reactor: Any = found
        if found is None:
            guest, visits = _guests.get(loop) or (_start(loop), 0)
            _guests[loop] = guest, visits + 1
            self.reactor = guest

    async def end(self) -> None:
        """End; the last one out closes the reactor."""
        if self.hosted:
            return
        guest, visits = _guests.pop(self._loop)
        if visits > 1:
            _guests[self._loop] = guest, visits - 1
        else:
            _retire(guest)
            await guest.close()


def _start(loop: asyncio.AbstractEventLoop) -> GuestReactor:
    """Make a guest that runs."""
    guest = GuestReactor(loop)
    if _GLOBAL not in sys.modules:
        installReactor(guest)
    guest.startRunning(installSignalHandlers=False)
    return guest


def _retire(guest: GuestReactor) -> None:
    """Let the next one be the global reactor."""
    installed: Any = sys.modules.get(_GLOBAL)
    if installed is guest:
        del sys.modules[_GLOBAL]
        delattr(twisted.internet, "reactor")


def _global_reactor(loop: asyncio.AbstractEventLoop) -> AsyncioSelectorReactor | None:
    """Find the reactor of a Twisted program that runs on this very loop."""
    installed: Any = sys.modules.get(_GLOBAL)
    if isinstance(installed, AsyncioSelectorReactor) and installed._asyncioEventloop is loop and installed.running:
        return installed
    return None
