"""
From what is to be served to the one ASGI application that serves all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from anp_twisted.config.mounts import Mount, Sort
from anp_twisted.config.tables import BackendSettings
from anp_twisted.eventloop import loop_of
from anp_twisted.limits import Limits
from anp_twisted.receiver.apps import load_app, load_wsgi
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.mounts import Mounts
from anp_twisted.receiver.target import HttpTarget
from anp_twisted.receiver.target_pool import TargetPool
from anp_twisted.targets import Target, parse_target
from anp_twisted.transports.tls import client_options


def load_backend(reactor: Any, settings: BackendSettings, folder: str, limits: Limits) -> App:
    """
    Import what is to be imported and make one application of it.

    @param reactor: the asyncio reactor.
    @param folder: where modules are looked for first.
    @raise SettingsError: if something cannot be had; the text says what.
    """
    loop = loop_of(reactor)
    make = Workshop(reactor, settings, folder, limits).make
    mounts = settings.mounts()
    if len(mounts) == 1:
        return make(mounts[0])
    return Mounts([(make(mount), mount.paths) for mount in mounts], loop=loop, limits=limits)


class Workshop:
    """Makes an application of each mount."""

    def __init__(self, reactor: Any, settings: BackendSettings, folder: str, limits: Limits) -> None:
        self._reactor = reactor
        self._settings = settings
        self._folder = folder
        self._limits = limits
        self._makers: dict[Sort, Callable[[str], App]] = {
            Sort.APP: lambda spec: load_app(spec, folder),
            Sort.TARGET: self._target,
            Sort.WSGI: self._wsgi,
        }

    def make(self, mount: Mount) -> App:
        """Make one."""
        return self._makers[mount.sort](mount.spec)

    def _target(self, spec: str) -> App:
        """Make what passes everything to a server."""
        reactor, limits, loop = self._reactor, self._limits, loop_of(self._reactor)
        target = parse_target(spec)
        endpoint = target_endpoint(reactor, target, ca_file=self._settings.target_ca_file)
        pool = TargetPool(endpoint, reactor, loop, limits)
        return HttpTarget(target, pool, loop=loop, limits=limits, keep_host=self._settings.target_host == "keep")

    def _wsgi(self, spec: str) -> App:
        """Make what runs a WSGI application in threads."""
        # Not at the top: whoever has no WSGI application needs no a2wsgi.
        from anp_twisted.receiver.wsgi import WsgiBackend

        app = load_wsgi(spec, self._folder)
        return WsgiBackend(app, loop=loop_of(self._reactor), threads=self._limits.wsgi_threads)


def target_endpoint(reactor: Any, target: Target, *, ca_file: str | None = None) -> IStreamClientEndpoint:
    """
    Make the endpoint that connects to a target; TLS verifies chain and name.

    @raise CredentialError: for a C{ca_file} that cannot be read.
    """
    if target.socket:
        return UNIXClientEndpoint(reactor, target.socket)
    plain = _plain_endpoint(reactor, target)
    if not target.secure:
        return plain
    endpoint: IStreamClientEndpoint = wrapClientTLS(client_options(target.host, ca_file), plain)
    return endpoint


def _plain_endpoint(reactor: Any, target: Target) -> IStreamClientEndpoint:
    """Make the one for TCP; that for names takes 0.3 s to find that nothing listens, even at an address."""
    if isIPAddress(target.host):
        return TCP4ClientEndpoint(reactor, target.host, target.port)
    if isIPv6Address(target.host):
        return TCP6ClientEndpoint(reactor, target.host, target.port)
    return HostnameEndpoint(reactor, target.host, target.port)
