"""
The receiver inside of another program: what C{anp_twisted} offers to Python code.

L{Receiver} is for programs that run on asyncio, L{receiver_service} for those of
Twisted, and L{expose} is a program by itself. What they take are the settings of
C{twistd anp-receiver}: what is not given is looked for in the environment, as
there (C{ANP_GATEWAY}, C{ANP_TOKEN} and so on).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from enum import Enum, auto
from types import TracebackType
from typing import Any, Final, Literal, Self, TypedDict, Unpack

from twisted.logger import ILogObserver, LogEvent, Logger, STDLibLogObserver, globalLogPublisher
from zope.interface import implementer

from anp_twisted.config.resolve import resolve
from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import ANPError, LinkRefused, LocalError, ProxyRefused
from anp_twisted.eventloop import loop_of, new_loop
from anp_twisted.guest import Visit
from anp_twisted.lifespan import Mode
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.build import build_receiver
from anp_twisted.receiver.service import ReceiverService
from anp_twisted.receiver.tap import lanes_for
from anp_twisted.receiver.uplink import reason_text
from anp_twisted.transports.backoff import CREDENTIALS

LOGGER: Final = "anp_twisted"
"""The name of the logger of the standard library that gets what a L{Receiver} has to say."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that a L{Receiver} has for its first link: as long as one attempt may take."""

_FROM_ENVIRONMENT: Final = (
    *("ca_file", "cancel_grace", "capacity", "drain", "gateway", "gateways", "insecure", "links", "path"),
    *("proxy", "state_dir", "token", "token_file"),
)
"""The settings that concern a receiver inside of another program; what is left out is about commands."""

_TOKENS: Final = frozenset({"token", "token_file", "state_dir"})


class Arguments(TypedDict, total=False):
    """
    What may be said about a receiver; see C{docs/reference/settings.md}, C{anp-receiver}.

    C{path} and C{gateway} are one text or several.
    """

    gateway: str | Sequence[str]
    gateways: Literal["all", "first"]
    token: str
    token_file: str
    state_dir: str
    path: str | Sequence[str]
    links: int
    capacity: int
    proxy: str
    ca_file: str
    insecure: bool
    cancel_grace: float
    drain: float


def settings_from(given: Mapping[str, Any], environment: Mapping[str, str]) -> ReceiverSettings:
    """
    Complete what was given.

    @param given: some of L{Arguments}; C{None} is as good as nothing.
    @param environment: as C{os.environ}.
    @raise SettingsError: with one line that says what is wrong.
    """
    document = {
        name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if value is not None
    }
    unknown = sorted(document.keys() - Arguments.__annotations__.keys())
    if unknown:
        raise TypeError(f"unknown argument {unknown[0]!r}")
    hidden = set(document) | (_TOKENS if _TOKENS & document.keys() else frozenset())
    variables = [f"ANP_{name.upper()}" for name in _FROM_ENVIRONMENT if name not in hidden]
    return resolve(
        ReceiverSettings,
        options={},
        environment={name: environment[name] for name in variables if name in environment},
        document={**document, "app": "embedded:app"},
        file="the arguments",
    ).settings


def receiver_service(
    app: App,
    *,
    reactor: Any = None,
    lifespan: Literal["auto", "on", "off"] = "auto",
    on_url: Callable[[str], None] | None = None,
    on_failure: Callable[[ANPError], None] | None = None,
    **settings: Unpack[Arguments],
) -> ReceiverService:
    """
    Make a receiver for a Twisted program: a service, to be started and stopped as any other.

    @param app: the ASGI 3 application.
    @param reactor: an asyncio reactor; the global one without it.
    @param lifespan: whether the application has to take part in its lifespan, may, or is not asked.
    @param on_url: gets the public URL, each time a link is open.
    @param on_failure: hears why the application could not start; without it, that is logged.
    @raise SettingsError: if it cannot be done as it is said.
    """
    if reactor is None:
        from twisted.internet import reactor as installed

        reactor = installed
    loop_of(reactor)
    found = settings_from(settings, os.environ)
    return build_receiver(
        reactor,
        app,
        lanes_for(reactor, found),
        limits=found.limits(),
        announce=on_url or _ignore,
        give_up=on_failure or _complain,
        lifespan=Mode(lifespan),
    )


def _ignore(url: str) -> None:
    """Nobody wants to know."""


def _complain(error: ANPError) -> None:
    """Somebody should know."""
    Logger().critical("the receiver serves nothing: {error}", error=error)


# --- the log -----------------------------------------------------------------------


@implementer(ILogObserver)
class _Bridge:
    """
    Passes log events to the standard library while a L{Receiver} is there.

    Twisted's own log is not begun in such a program, so they would reach nobody.
    """

    def __init__(self) -> None:
        self._users = 0
        self._observer = STDLibLogObserver(LOGGER)

    def __call__(self, event: LogEvent) -> None:
        """Pass an event on; what is not ours concerns us when it is a failure that nobody looked after."""
        if str(event.get("log_namespace", "")).startswith("anp_twisted") or "log_failure" in event:
            self._observer(event)

    def begin(self) -> None:
        """Somebody needs it."""
        self._users += 1
        if self._users == 1:
            globalLogPublisher.addObserver(self)

    def end(self) -> None:
        """Somebody needs it no longer."""
        self._users -= 1
        if not self._users:
            globalLogPublisher.removeObserver(self)


_bridge = _Bridge()


# --- asyncio -----------------------------------------------------------------------


class _Life(Enum):
    """Where in its life a L{Receiver} is."""

    STOPPED = auto()
    RUNNING = auto()
    STOPPING = auto()


class Receiver:
    """
    Serves an ASGI application through a gateway for as long as the block lasts::

        async with Receiver(app, gateway="wss://gate.example/ws", token_file="receiver.token") as receiver:
            print(receiver.url)

    It runs on the loop that runs already, beside whatever else does.

    The lifespan of the application is off, unless it is asked for: mostly somebody
    else, such as uvicorn, has started the application already.
    """

    log = Logger()

    def __init__(
        self,
        app: App,
        *,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        lifespan: Literal["auto", "on", "off"] = "off",
        on_url: Callable[[str], None] | None = None,
        **settings: Unpack[Arguments],
    ) -> None:
        """
        @param app: the ASGI 3 application.
        @param connect_timeout: seconds to wait for the first link; C{None} goes on without.
        @param lifespan: whether the application has to take part in its lifespan, may, or is not asked.
        @param on_url: gets the public URL, each time a link is open.
        @raise SettingsError: an argument, or what the environment adds to them, cannot be used.
        """
        self._app = app
        self._connect_timeout = connect_timeout
        self._mode = Mode(lifespan)
        self._on_url = on_url
        self._settings = settings_from(settings, os.environ)
        self._life = _Life.STOPPED
        self._url = ""
        self._trouble: ANPError | None = None  # why there is no link
        self._failure: ANPError | None = None  # why there will be none
        self._news: set[asyncio.Future[None]] = set()
        self._visit: Visit | None = None
        self._service: ReceiverService | None = None

    @property
    def url(self) -> str:
        """Where callers reach the application; empty before the first link, and if the gateway does not say it."""
        return self._url

    @property
    def connected(self) -> bool:
        """Whether requests can come now."""
        return self._service is not None and self._service.linked_count > 0

    async def __aenter__(self) -> Self:
        """Start; see L{start}."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; see L{stop}."""
        await self.stop()

    async def start(self) -> None:
        """
        Begin to serve.

        @raise LinkRefused: there is no link within the time for it, or the gateway refuses the token.
        @raise AppStartError: the application did not start.
        @raise SettingsError: the token or a certificate cannot be read.
        """
        if self._life is not _Life.STOPPED:
            raise LocalError("this receiver is running already")
        self._life, self._url = _Life.RUNNING, ""
        self._trouble = self._failure = None
        self._visit = Visit()
        if not self._visit.hosted:
            _bridge.begin()
        async with AsyncExitStack() as undoing:
            undoing.push_async_callback(self.stop)
            self._service = self._make(self._visit.reactor)
            self._service.startService()
            if self._connect_timeout is not None:
                await self.wait_connected(self._connect_timeout)
            undoing.pop_all()

    def _make(self, reactor: Any) -> ReceiverService:
        """Make the service."""
        return build_receiver(
            reactor,
            self._app,
            lanes_for(reactor, self._settings),
            limits=self._settings.limits(),
            announce=self._announce,
            give_up=self._fail,
            linked=self._tell,
            troubled=self._troubled,
            lifespan=self._mode,
        )

    async def wait_connected(self, within: float | None = None) -> None:
        """
        Wait until requests can come; return at once if they can.

        @param within: seconds; C{None} waits for as long as it takes.
        @raise LinkRefused: there is no link in time, or the only gateway refuses the token.
        @raise AppStartError: the application did not start.
        """
        try:
            async with asyncio.timeout(within):
                while not self.connected:
                    self._check()
                    await self._next_news()
        except TimeoutError:
            reason = "" if self._trouble is None else f": {reason_text(self._trouble)}"
            raise LinkRefused(f"no link with a gateway within {within:g} s{reason}") from None

    def _check(self) -> None:
        """Raise what is not worth waiting for."""
        if self._service is None:
            raise LocalError("this receiver is not running")
        if self._failure is not None:
            raise self._failure
        trouble = self._trouble
        if not isinstance(trouble, LinkRefused) or isinstance(trouble, ProxyRefused):
            return
        # Only a person can help then; but where there are several gateways, another one may.
        if trouble.status in CREDENTIALS and len(self._settings.gateway) == 1:
            raise LinkRefused(reason_text(trouble), trouble.status)

    async def stop(self) -> None:
        """
        Stop: what runs may end, within the time to drain; then nothing is left, neither task, thread nor descriptor.

        When the task that waits for it is cancelled, it waits no longer for what runs.
        """
        if self._life is not _Life.RUNNING:
            return
        self._life = _Life.STOPPING
        try:
            if self._service is not None:
                await self._end(self._service)
        finally:
            self._service = None
            visit, self._visit = self._visit, None
            if visit is not None:
                if not visit.hosted:
                    _bridge.end()
                await visit.end()
            self._life = _Life.STOPPED
            self._tell()

    async def _end(self, service: ReceiverService) -> None:
        """Stop the service, whatever happens to the task."""
        if not service.running:
            return
        stopping = service.stopService().asFuture(asyncio.get_running_loop())
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            service.stop_at_once()
            await stopping
            raise

    # --- from the service -------------------------------------------------

    def _announce(self, url: str) -> None:
        """A link is open."""
        self._url = self._url or url
        if self._on_url is not None:
            self._on_url(url)

    def _fail(self, error: ANPError) -> None:
        """The application did not start."""
        self._failure = error
        self._tell()

    def _troubled(self, reason: ANPError) -> None:
        """An attempt failed, or a link was lost."""
        self._trouble = reason
        self._tell()

    def _tell(self) -> None:
        """Let those who wait look again."""
        for future in self._news:
            if not future.done():
                future.set_result(None)

    async def _next_news(self) -> None:
        """Wait until something has happened."""
        future = asyncio.get_running_loop().create_future()
        self._news.add(future)
        try:
            await future
        finally:
            self._news.discard(future)


# --- a program by itself --------------------------------------------------------------


def expose(app: App, *, lifespan: Literal["auto", "on", "off"] = "auto", **settings: Unpack[Arguments]) -> None:
    """
    Serve an application until the process is told to stop: the first line of standard output is its public URL::

        from anp_twisted import expose
        expose(app)

    It connects to a gateway that runs somewhere, by default on this machine. SIGINT
    and SIGTERM let what runs end; a second one stops at once.

    @param app: the ASGI 3 application.
    @param lifespan: whether the application has to take part in its lifespan, may, or is not asked.
    @raise SystemExit: with one line that says why it cannot be done.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-8s %(message)s")
    try:
        receiver = Receiver(app, connect_timeout=None, lifespan=lifespan, on_url=_FirstLine(), **settings)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_serve(receiver))
    except ANPError as error:
        raise SystemExit(f"expose: {error}") from None


class _FirstLine:
    """Prints the first URL it gets."""

    def __init__(self) -> None:
        self._due = True

    def __call__(self, url: str) -> None:
        """Print, once."""
        if self._due:
            self._due = False
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()


async def _serve(receiver: Receiver) -> None:
    """Serve until a signal comes."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, told.set)
    serving = loop.create_task(_until(receiver, told))
    await asyncio.wait([serving, waiting := loop.create_task(told.wait())], return_when=asyncio.FIRST_COMPLETED)
    for number in numbers:
        loop.add_signal_handler(number, serving.cancel)
    waiting.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        logging.getLogger(LOGGER).warning("stopped at once")
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _until(receiver: Receiver, told: asyncio.Event) -> None:
    """Serve until told not to; fail if that is no use."""
    async with receiver:
        await receiver.wait_connected()
        await told.wait()
