"""The command C{twistd anp-gateway}: settings in, a gateway that listens out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from twisted.application.service import IService, MultiService

from anp_twisted.auth.tokens import MANAGEMENT_FILE, create_or_read, read_or_make
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import SettingsError
from anp_twisted.networks import Networks
from anp_twisted.reloading import Reloadable, Reloader, reload_on_hangup
from anp_twisted.shutdown import StopSignals

if TYPE_CHECKING:
    from anp_twisted.gateway.fleet import Fleet
    from anp_twisted.gateway.registryapi import RegistryApi
    from anp_twisted.gateway.service import GatewayService
    from anp_twisted.ops.logfile import OperatorLog
    from anp_twisted.registry.service import Registry
    from anp_twisted.transports.tls import ServerContext


class Options(SettingsOptions[GatewaySettings]):
    """What the operator may say."""

    command = "anp-gateway"
    settings_class = GatewaySettings
    synopsis = "[options]"


def _make_api(registry: Registry, settings: GatewaySettings) -> RegistryApi:
    """
    Let those who can read a file in the state folder change the registry.

    @raise CredentialError: others can read that file.
    """
    import time

    from anp_twisted.gateway.registryapi import RegistryApi

    def secret() -> str:
        return create_or_read(settings.state_dir, name=MANAGEMENT_FILE)[0]

    if os.path.isdir(settings.state_dir):
        secret()  # a gateway that keeps nothing else there has no folder until somebody asks
    return RegistryApi(registry, secret, time.time)  # noqa: TID251 - where the time of day comes in


def _add_listeners(
    gateway: GatewayService, settings: GatewaySettings, tls: ServerContext | None, registry: Registry
) -> None:
    """Listen where the settings say."""
    from twisted.internet import reactor

    from anp_twisted.gateway.management import management_listener
    from anp_twisted.transports.listening import string_listener, tcp_listener

    on_endpoint = partial(string_listener, reactor, trusted=Networks(settings.trusted_proxy), limits=settings.limits())
    for description in settings.listen:
        gateway.listen_on(on_endpoint(gateway.front, description))
    if not settings.listen:
        gateway.listen_on(tcp_listener(reactor, gateway.front, host=settings.host, port=settings.port, tls=tls))
    for description in settings.wss_listen:
        gateway.listen_on(on_endpoint(gateway.link_front, description))
    if settings.wss_port is not None and not settings.wss_listen:
        gateway.listen_on(
            tcp_listener(reactor, gateway.link_front, host=settings.host, port=settings.wss_port, tls=tls)
        )
    if settings.management_port is not None:
        api = _make_api(registry, settings)
        gateway.listen_on(management_listener(reactor, gateway, settings.management_port, api))


def _make_fleet(options: Options, log: OperatorLog, token: str, top: MultiService) -> Fleet:
    """Build a gateway of several processes."""
    import random

    from twisted.internet import reactor

    from anp_twisted.gateway.build import build_registry
    from anp_twisted.gateway.fleet import Base, Fleet
    from anp_twisted.gateway.management import ManagementPages, pages_listener
    from anp_twisted.gateway.reload import FixedSettings
    from anp_twisted.shutdown import Failing
    from anp_twisted.transports.tls import context_of
    from anp_twisted.workers import Crew

    settings = options.settings
    # Each worker reads it; a mistake is told now.
    context_of(settings.tls_cert, settings.tls_key, settings.client_ca)
    failing = Failing(reactor, options.command)
    base = Base(reactor=reactor, token=token, write=log.write, announce=log.first.announce, give_up=failing.fail)
    crew = Crew(settings.workers, settings.limits(), draw=random.SystemRandom().random)
    fleet = Fleet(crew, settings, base)
    if settings.management_port is not None:
        registry = build_registry(reactor, settings)
        registry.setServiceParent(top)  # type: ignore[no-untyped-call]
        pages = ManagementPages(fleet.stats, fleet.condition, _make_api(registry, settings))
        fleet.show_on(pages_listener(reactor, pages, settings.management_port))
    _take_reloads(options, [FixedSettings(settings), fleet])
    return fleet


def _make_gateway(options: Options, log: OperatorLog, token: str, top: MultiService) -> GatewayService:
    """Build a gateway of one process."""
    from twisted.internet import reactor

    from anp_twisted.gateway.build import build_gateway, build_registry
    from anp_twisted.gateway.identities import build_identities
    from anp_twisted.gateway.reload import Certificates, FixedSettings
    from anp_twisted.transports.tls import context_of

    settings = options.settings
    registry = build_registry(reactor, settings)
    parts: list[Reloadable[GatewaySettings]] = [FixedSettings(settings)]
    tls = context_of(settings.tls_cert, settings.tls_key, settings.client_ca)
    if tls is not None:
        parts.append(Certificates(tls))
    gateway = build_gateway(
        reactor,
        settings,
        limits=settings.limits(),
        token=token,
        announce=log.first.announce,
        record=log.recorder,
        registry=registry,
        identities=build_identities(reactor, settings, registered=registry.knows),
        parts=parts,
    )
    _add_listeners(gateway, settings, tls, registry)
    _take_reloads(options, parts)
    return gateway


def _take_reloads(options: Options, parts: Sequence[Reloadable[GatewaySettings]]) -> None:
    """Read the settings again at SIGHUP."""
    from twisted.internet import reactor

    reloader = Reloader(options.read_again)
    for part in parts:
        reloader.add(part)
    reload_on_hangup(reactor, reloader.reload)


def _make(options: Options) -> IService:
    """Build everything; mistakes of the operator come out as L{SettingsError}."""
    from twisted.internet import reactor

    from anp_twisted.ops.logfile import LoggedService, operator_log

    settings = options.settings
    log = operator_log(options)
    token, where = read_or_make(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
    make = _make_fleet if settings.workers > 1 else _make_gateway
    top = LoggedService(log)
    gateway: Fleet | GatewayService = make(options, log, token, top)
    gateway.log.info("{where}", where=where)
    StopSignals(reactor, gateway.stop_at_once).install()
    gateway.setServiceParent(top)  # type: ignore[no-untyped-call]
    return top


def makeService(options: Options) -> IService:
    """
    Build the service of C{twistd anp-gateway}.

    @raise SystemExit: with one line for the operator, if the settings cannot be used.
    """
    try:
        return _make(options)
    except SettingsError as error:
        options.refuse(error)
        raise
