"""The command C{twistd anp-receiver}: settings and an application in, a receiver out."""

from __future__ import annotations

import os
from typing import Any

from twisted.application.service import IService

from anp_twisted.auth.tokens import TokenSource, source_of, token_path
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import CredentialError, SettingsError


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
    return Gateway(
        url=address.url,
        endpoint=gateway_endpoint(reactor, address, ca_file=settings.ca_file),
        headers=BearerHeaders(_token_source(settings)),
        paths=settings.path,
        instance=new_instance(),
        attempts=settings.max_reconnect_attempts,
    )


def _token_source(settings: ReceiverSettings) -> TokenSource:
    """
    Find out where the token is.

    @raise CredentialError: if it is nowhere, with the ways to give one.
    """
    source = source_of(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
    if settings.token is None and settings.token_file is None and not os.path.exists(token_path(settings.state_dir)):
        raise CredentialError(
            f"there is no token in {token_path(settings.state_dir)}; the gateway has made one: "
            "name its folder with --state-dir, the file with --token-file, or set ANP_TOKEN"
        )
    return source


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
