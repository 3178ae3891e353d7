"""
What runs in one worker process of a gateway, told by a pipe what to do.

The process that started it holds the other ends. It writes the assignment, then
commands; when its end is closed it is gone, and the worker drains and ends.
"""

from __future__ import annotations

import fcntl
import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event, Thread
from typing import Any, BinaryIO

from twisted.application.service import MultiService
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import globalLogBeginner

from anp_twisted.access import LONGEST, AccessRecord, format_line
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import SettingsError
from anp_twisted.eventloop import install_reactor
from anp_twisted.gateway.reload import Certificates
from anp_twisted.gateway.reports import (
    REPORTS,
    Accept,
    Assignment,
    Command,
    Drain,
    Failed,
    Figures,
    Follow,
    Hurry,
    Leaving,
    Ready,
    Report,
    Show,
    line_of,
    read_assignment,
    read_command,
)
from anp_twisted.gateway.service import GatewayService, Place
from anp_twisted.limits import Limits
from anp_twisted.ops.lines import LineObserver, LineSink
from anp_twisted.reloading import Reloadable, Reloader
from anp_twisted.transports.listener import Listener
from anp_twisted.transports.tls import ServerContext, context_of


def shared_limits(limits: Limits, among: int) -> Limits:
    """
    Divide what the whole gateway may have.

    @param among: the number of workers.
    """
    return replace(
        limits,
        overload_requests=math.ceil(limits.overload_requests / among),
        overload_memory=limits.overload_memory // among,
        overload_memory_share=limits.overload_memory_share / among,
        parked=math.ceil(limits.parked / among),
        connections=math.ceil(limits.connections / among),
    )


def numbered(line: str, number: int) -> str:
    """
    Put the number of a worker into an access line, unless that would make it too long.

    @param line: a JSON object.
    """
    longer = f'{{"worker":{number},{line[1:]}'
    return longer if len(longer) < LONGEST else line


def report(said: Report) -> None:
    """Say something to the process that started this one; if that is gone, nobody misses it."""
    line = line_of(said)
    with suppress(OSError):
        while line:
            line = line[os.write(REPORTS, line) :]


class Ports:
    """
    The listening sockets of all workers, on some of which this one accepts.

    The descriptors stay open until the worker drains: a socket whose queue must not
    be lost is closed when every process has closed it.

    @ivar context: what they show, C{None} where they speak no TLS.
    """

    def __init__(self, reactor: Any, assignment: Assignment, gateway: GatewayService) -> None:
        self._reactor = reactor
        self._assignment = assignment
        self._gateway = gateway
        self._instead: dict[int, list[Listener]] = {}
        self._closed = False
        self._wrap: Callable[[IProtocolFactory], IProtocolFactory] = lambda factory: factory
        self._scheme = "http"
        settings = assignment.settings
        self.context = context_of(settings.tls_cert, settings.tls_key, settings.client_ca)
        if self.context is not None:
            self._secure(self.context)

    def _secure(self, context: ServerContext) -> None:
        """Speak TLS."""
        from twisted.protocols.tls import TLSMemoryBIOFactory

        clock = self._reactor
        self._wrap = lambda factory: TLSMemoryBIOFactory(context, False, factory, clock)
        self._scheme = "https"

    def own(self) -> None:
        """Accept on the sockets of this worker, from the start of the gateway on."""
        for listener in self._listeners(self._assignment.number):
            self._gateway.listen_on(listener)

    def accept(self, number: int, accepts: bool) -> None:
        """Accept on those of another worker as well, or no longer."""
        if accepts and number not in self._instead and not self._gateway.draining and not self._closed:
            self._instead[number] = self._listeners(number)
            for listener in self._instead[number]:
                self._gateway.listen_on(listener)
                listener.start()
        elif not accepts:
            for listener in self._instead.pop(number, []):
                self._gateway.listen_no_more(listener)

    def _listeners(self, number: int) -> list[Listener]:
        """Make what accepts on the sockets of a worker."""
        given, gateway = self._assignment, self._gateway
        pairs: list[tuple[tuple[int, ...], IProtocolFactory]] = [
            (given.public, gateway.front),
            (given.links, gateway.link_front),
        ]
        return [self._listener(fds[number - 1], factory, number) for fds, factory in pairs if fds]

    def _listener(self, descriptor: int, factory: IProtocolFactory, number: int) -> Listener:
        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 0)
        endpoint = AdoptedStreamServerEndpoint(self._reactor, copy, self._assignment.family)
        return Listener(endpoint, self._wrap(factory), name=f"the socket of worker {number}", scheme=self._scheme)

    def close(self) -> None:
        """Let go of what was handed down."""
        self._closed = True  # what was said before may still arrive
        for descriptor in (*self._assignment.public, *self._assignment.links):
            with suppress(OSError):  # the second time
                os.close(descriptor)


class Program:
    """
    The worker.

    @ivar status: what the process ends with.
    """

    def __init__(self, reactor: Any, assignment: Assignment, write: Callable[[str], None]) -> None:
        """
        @param write: takes an access line.
        """
        self.status = 0
        self._reactor = reactor
        self._assignment = assignment
        self._settings = assignment.settings
        self._reloader = Reloader(lambda: self._settings)
        self._write = write

    def run(self, control: BinaryIO) -> None:
        """Serve until told to stop."""
        try:
            self._gateway = self._make()
            self._ports = Ports(self._reactor, self._assignment, self._gateway)
            self._ports.own()
            if self._ports.context is not None:
                self._reloader.add(Certificates(self._ports.context))
        except SettingsError as error:
            self._refuse(error)
            return
        top = MultiService()
        self._gateway.setServiceParent(top)  # type: ignore[no-untyped-call]
        reactor = self._reactor
        reactor.callWhenRunning(self._start, top)
        reactor.callWhenRunning(signal.signal, signal.SIGTERM, lambda *_: reactor.callFromThread(self._drain))
        Thread(target=self._hear, args=[control], name="anp-control", daemon=True).start()
        reactor.run(installSignalHandlers=False)

    def _make(self) -> GatewayService:
        """Build the gateway of this process."""
        from anp_twisted.gateway.build import build_gateway, build_registry
        from anp_twisted.gateway.identities import build_identities

        given = self._assignment
        settings = given.settings
        wanted = settings.log_level in ("debug", "info")
        registry = build_registry(self._reactor, settings)
        parts: list[Reloadable[GatewaySettings]] = []
        share = partial(shared_limits, among=given.among)
        gateway = build_gateway(
            self._reactor,
            settings,
            limits=share(settings.limits()),
            token=given.token,
            announce=lambda url: report(Ready(url)),
            record=self._record if wanted else None,
            place=Place(given.number, given.among),
            registry=registry,
            identities=build_identities(self._reactor, settings, registered=registry.knows),
            parts=parts,
            share=share,
        )
        for part in parts:
            self._reloader.add(part)
        return gateway

    def _start(self, top: MultiService) -> None:
        """Listen."""
        try:
            top.privilegedStartService()
        except SettingsError as error:
            self._refuse(error)
            self._drain()
            return
        top.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._ports.close)
        self._reactor.addSystemEventTrigger("before", "shutdown", top.stopService)

    def _refuse(self, error: SettingsError) -> None:
        """Tell why there is nothing to serve."""
        self.status = 1
        report(Failed(str(error)))

    def _record(self, record: AccessRecord) -> None:
        """Log one request."""
        self._write(numbered(format_line(record), self._assignment.number))

    # --- what it is told ------------------------------------------------

    def _hear(self, control: BinaryIO) -> None:
        """Read until the other end is closed, which also says to stop, and see that it happens; in a thread."""
        for line in control:
            command = read_command(line)
            if command is not None:
                self._reactor.callFromThread(self._obey, command)
        self._reactor.callFromThread(self._drain)
        limits = self._assignment.settings.limits()
        Event().wait(limits.drain + limits.linger + limits.worker_margin)
        os._exit(1)

    def _obey(self, command: Command) -> None:
        match command:
            case Drain():
                self._drain()
            case Hurry():
                self._drain()
                self._gateway.stop_at_once()
            case Accept(socket=socket, accepts=accepts):
                self._ports.accept(socket, accepts)
            case Follow():
                self._follow(command.settings())
            case Show():
                report(Figures(self._gateway.condition, self._gateway.stats()))

    def _follow(self, settings: GatewaySettings) -> None:
        """Go over to other settings; what cannot be read any more by now leaves those of before."""
        self._settings = settings
        self._reloader.reload()

    def _drain(self) -> None:
        """Stop the reactor; whoever else wants that need not know whether it stops already."""
        report(Leaving())
        with suppress(ReactorNotRunning):
            self._reactor.stop()


def main() -> None:
    """Run a worker; the arguments are for whoever looks at the list of processes."""
    # One Ctrl-C goes to all processes of a terminal: the one that started this one says what is to be done.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    control = os.fdopen(os.dup(0), "rb")
    line = control.readline()
    if not line:
        return  # who started us is gone already
    del sys.argv[1:]
    assignment = read_assignment(line)
    for descriptor in (REPORTS, *assignment.public, *assignment.links):
        os.set_inheritable(descriptor, False)
    sink = LineSink(os.fdopen(os.dup(2), "w", encoding="utf-8"), lambda same: same)
    observer = LineObserver(sink, assignment.settings.log_level, f"worker {assignment.number}: ")
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    install_reactor()
    from twisted.internet import reactor

    program = Program(reactor, assignment, sink.write)
    program.run(control)
    sys.exit(program.status)
