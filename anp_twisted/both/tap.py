"""The command C{twistd anp-both}: gateway, receiver and application in one process, over a real socket."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService

from anp_twisted.auth.tokens import FixedToken, read_or_make
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.schema import settings_of
from anp_twisted.config.tables import BothSettings, ReceiverSettings
from anp_twisted.errors import SettingsError
from anp_twisted.lifespan import Mode
from anp_twisted.reloading import Reloader, reload_on_hangup

if TYPE_CHECKING:
    from anp_twisted.gateway.service import GatewayService
    from anp_twisted.receiver.asgi import App
    from anp_twisted.receiver.crew import CrewService
    from anp_twisted.receiver.service import ReceiverService
    from anp_twisted.receiver.uplink import Lane
    from anp_twisted.transports.tls import ServerContext

_DEMO = "anp_twisted.both.demo:app"


class Options(SettingsOptions[BothSettings]):
    """What the operator may say."""

    command = "anp-both"
    settings_class = BothSettings
    synopsis = "[options]"


def _dialled(reactor: Any, url: str, token: str, paths: tuple[str, ...]) -> list[Lane]:
    """
    Describe the gateway of this process to its receiver.

    @param url: where the gateway listens, C{http://host:port}.
    """
    from anp_twisted.receiver.build import Destination

    # The address is one of this machine, whatever it looks like: nothing leaves it.
    gateway = f"ws{url.removeprefix('http')}/ws"
    return Destination(urls=[gateway], tokens=FixedToken(token), paths=paths, insecure=True).lanes(reactor)


def _served(settings: BothSettings) -> BothSettings:
    """Serve the demo where nothing is named."""
    return settings if settings.mounts() else replace(settings, app=(_DEMO,))


def worker_settings(settings: BothSettings, url: str, token: str) -> ReceiverSettings:
    """
    Say what C{anp-receiver} would have to be told to be the receiver of this process.

    @param url: where the gateway listens, C{http://host:port}.
    """
    shared = settings_of(ReceiverSettings).keys() & settings_of(BothSettings).keys()
    said = {name: getattr(settings, name) for name in shared} | {
        "gateway": (f"ws{url.removeprefix('http')}/ws",),
        "insecure": True,
        "proxy": "off",
        "token": token,
        "token_file": None,
        "tls_cert": None,
        "tls_key": None,
        "capacity": settings.in_flight,
    }
    return ReceiverSettings(**said)


class _Both:
    """Adds the receiver when the gateway listens, since only then its port is known."""

    _receiver: ReceiverService | CrewService

    def __init__(self, options: Options) -> None:
        from twisted.internet import reactor

        from anp_twisted.ops.logfile import LoggedService, operator_log
        from anp_twisted.receiver.backends import load_backend
        from anp_twisted.shutdown import Failing, StopSignals

        self._reactor: Any = reactor
        self._options = options
        self._settings = settings = _served(options.settings)
        self._log = operator_log(options)
        self._failing = Failing(reactor, options.command)
        self._app: App | None = None
        if not settings.in_processes:
            self._app = load_backend(reactor, settings, os.getcwd(), settings.limits())
        self._check_processes()
        self._token, where = read_or_make(
            token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir
        )
        self.service = LoggedService(self._log)
        self._gateway = self._make_gateway()
        self._gateway.log.info("{where}", where=where)
        self._signals = StopSignals(reactor, self._stop_at_once)
        self._signals.install()

    def _make_gateway(self) -> GatewayService:
        """Make the gateway with its listeners."""
        from anp_twisted.gateway.build import build_gateway
        from anp_twisted.gateway.management import management_listener
        from anp_twisted.transports.listening import tcp_listener
        from anp_twisted.transports.tls import context_of

        reactor, settings = self._reactor, self._settings
        gateway = build_gateway(
            reactor,
            settings,
            limits=settings.limits(),
            token=self._token,
            announce=self._listening,
            record=self._log.recorder,
        )
        tls = context_of(settings.tls_cert, settings.tls_key)
        listen = partial(tcp_listener, reactor)
        self._own = listen(gateway.front, host=settings.host, port=settings.port, tls=tls)
        gateway.listen_on(self._own)
        if settings.wss_port is not None:
            gateway.listen_on(listen(gateway.link_front, host=settings.host, port=settings.wss_port, tls=tls))
        if tls is not None:
            # Its name in the certificate is that for callers: the receiver of this process has a way of its own.
            self._own = listen(gateway.link_front, host="127.0.0.1", port=0)
            gateway.listen_on(self._own)
        if settings.management_port is not None:
            gateway.listen_on(management_listener(reactor, gateway, settings.management_port))
        self._take_reloads(gateway, tls)
        gateway.setServiceParent(self.service)  # type: ignore[no-untyped-call]
        return gateway

    def _take_reloads(self, gateway: GatewayService, tls: ServerContext | None) -> None:
        """Read the settings again at SIGHUP; the token stays, since the receiver of this process has it."""
        from anp_twisted.gateway.build import rules_of
        from anp_twisted.gateway.reload import CHANGEABLE, Certificates, FixedSettings

        reloader: Reloader[BothSettings] = Reloader(lambda: _served(self._options.read_again()))
        reloader.add(FixedSettings(self._settings, CHANGEABLE - {"token", "token_file"}))
        reloader.add(rules_of(gateway, self._reactor))
        if tls is not None:
            reloader.add(Certificates(tls))
        reload_on_hangup(self._reactor, reloader.reload)

    def _listening(self, url: str) -> None:
        """Start the receiver, not here: a service that is added while its parent starts is started twice."""
        from anp_twisted.eventloop import soon

        soon(self._reactor)(self._add_receiver)

    def _add_receiver(self) -> None:
        """Start the receiver; it announces the public URL when it can be used."""
        from anp_twisted.receiver.build import build_receiver

        if self._app is None:
            self._add_crew()
            return
        self._receiver = build_receiver(
            self._reactor,
            self._app,
            _dialled(self._reactor, self._own.url, self._token, self._settings.served()),
            limits=self._settings.limits(),
            announce=self._log.first.announce,
            give_up=self._failing.fail,
            lifespan=Mode(self._settings.lifespan),
        )
        self._receiver.setServiceParent(self.service)  # type: ignore[no-untyped-call]

    def _check_processes(self) -> None:
        """
        Find what hinders a reload before anything listens.

        @raise SettingsError: files cannot be watched.
        """
        from anp_twisted.receiver.reload import watched_folders

        if self._settings.reload:
            watched_folders(self._settings.reload_dir, os.getcwd())

    def _add_crew(self) -> None:
        """Start workers instead, which dial the gateway of this process."""
        from anp_twisted.receiver.tap import make_crew

        settings = worker_settings(self._settings, self._own.url, self._token)
        self._receiver = make_crew(self._reactor, settings, self.service, log=self._log, failing=self._failing)

    def _stop_at_once(self) -> None:
        """Let neither side wait any longer."""
        self._receiver.stop_at_once()
        self._gateway.stop_at_once()


def makeService(options: Options) -> IService:
    """
    Build the service of C{twistd anp-both}.

    @raise SystemExit: with one line for the operator, if the settings cannot be used.
    """
    try:
        service: IService = _Both(options).service
    except SettingsError as error:
        options.refuse(error)
        raise
    return service
