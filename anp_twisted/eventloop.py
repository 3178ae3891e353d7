"""
The one reactor of this project: Twisted's on an asyncio loop, which is uvloop's where that is installed.

ASGI applications are asyncio programs, so both worlds have to share a loop. The
reactor is a global of the process, and whoever imports
C{twisted.internet.reactor} first decides it: L{install_reactor} has to run
before, and says so when it came too late.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from anp_twisted.errors import SettingsError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

Soon = Callable[[Callable[[], None]], object]


def new_loop() -> asyncio.AbstractEventLoop:
    """
    @return: a new loop, uvloop's when it can be imported. It is not yet the current one.
    """
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = import_module("uvloop").new_event_loop()
    return loop


def install_reactor() -> None:
    """
    Make the asyncio reactor the global one, unless it already is.

    @raise SettingsError: another reactor was installed before; the text names the command that works.
    """
    # Imported here because the import alone costs 30 ms, which `twistd --help` need not pay.
    from twisted.internet import asyncioreactor

    installed = sys.modules.get("twisted.internet.reactor")
    if installed is None:
        loop = new_loop()
        # Before install(): tasks created outside of a callback would land on another loop and never run.
        asyncio.set_event_loop(loop)
        asyncioreactor.install(loop)
    elif not isinstance(installed, asyncioreactor.AsyncioSelectorReactor):
        raise SettingsError(
            f"the asyncio reactor is needed, but {type(installed).__name__} is already installed: "
            "leave --reactor out, or say twistd --reactor=asyncio"
        )


def loop_of(reactor: object) -> asyncio.AbstractEventLoop:
    """
    @param reactor: the installed one.
    @return: the loop it runs on.
    @raise SettingsError: it is not on asyncio.
    """
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

    if not isinstance(reactor, AsyncioSelectorReactor):
        raise SettingsError("the asyncio reactor is needed")
    loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
    return loop


def soon(reactor: IReactorTime) -> Soon:
    """
    Find the cheapest way to run something at the end of the current turn of a reactor.

    @return: a callable that takes a function without arguments. Functions run in
        the order they were given; what they return is ignored.
    """
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

    if isinstance(reactor, AsyncioSelectorReactor):
        loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        # A twentieth of what callLater costs, and this runs for every batch of frames.
        return loop.call_soon
    return lambda function: reactor.callLater(0, function)
