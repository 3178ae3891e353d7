"""The command C{twistd anp-receiver}: settings and an application in, a receiver out."""

from __future__ import annotations

import os
from typing import Any

from twisted.application.service import IService

from anp_twisted.auth.tokens import source_of
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import SettingsError


class Options(SettingsOptions[ReceiverSettings]):
    """What the operator may say."""

    command = "anp-receiver"
    settings_class = ReceiverSettings
    synopsis = "[options]"


def _gateway(reactor: Any, settings: ReceiverSettings) -> Any:
    """
    Find out whom to dial, and with which token.

    @raise SettingsError: if that cannot be done as the settings say.
    """
    from anp_twisted.receiver.build import BearerHeaders, new_instance
    from anp_twisted.receiver.service import Gateway
    from anp_twisted.transports.addresses import gateway_endpoint, parse_gateway

    address = parse_gateway(settings.gateway, insecure=settings.insecure)
    source = source_of(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
    return Gateway(
        url=address.url,
        endpoint=gateway_endpoint(reactor, address, ca_file=settings.ca_file),
        headers=BearerHeaders(source),
        paths=settings.path,
        instance=new_instance(),
        attempts=settings.max_reconnect_attempts,
    )


def _make(options: Options) -> IService:
    """Build everything; mistakes of the operator come out as L{SettingsError}."""
    from twisted.internet import reactor

    from anp_twisted.ops.logfile import LoggedService, operator_log
    from anp_twisted.receiver.apps import load_app
    from anp_twisted.receiver.build import build_receiver
    from anp_twisted.shutdown import Failing, StopSignals

    settings = options.settings
    log = operator_log(options)
    gateway = _gateway(reactor, settings)
    failing = Failing(reactor, options.command)
    receiver = build_receiver(
        reactor,
        load_app(settings.app, os.getcwd()),
        gateway,
        limits=settings.limits(),
        announce=log.first.announce,
        give_up=failing.fail,
    )
    StopSignals(reactor, receiver.stop_at_once).install()
    top = LoggedService(log)
    receiver.setServiceParent(top)  # type: ignore[no-untyped-call]
    return top


def makeService(options: Options) -> IService:
    """
    Build the service of C{twistd anp-receiver}.

    @raise SystemExit: with one line for the operator, if the settings cannot be used.
    """
    try:
        return _make(options)
    except SettingsError as error:
        options.refuse(error)
        raise
