"""The command C{twistd anp-gateway}: settings in, a gateway that listens out."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from twisted.application.service import IService

from anp_twisted.auth.tokens import create_or_read, source_of, token_path
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import SettingsError
from anp_twisted.shutdown import StopSignals

if TYPE_CHECKING:
    from anp_twisted.gateway.service import GatewayService
    from anp_twisted.ops.logfile import OperatorLog


class Options(SettingsOptions[GatewaySettings]):
    """What the operator may say."""

    command = "anp-gateway"
    settings_class = GatewaySettings
    synopsis = "[options]"


def read_or_make_token(settings: GatewaySettings) -> tuple[str, str]:
    """
    Find the receivers' token, or make one where nothing is said about it.

    @return: the token, and a line that says where it is.
    @raise CredentialError: if it cannot be used.
    """
    if settings.token is not None or settings.token_file is not None:
        source = source_of(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
        where = settings.token_file or "the settings"
        return source.read(), f"receivers need the token in {where}"
    token, made = create_or_read(settings.state_dir)
    verb = "was made: it is in" if made else "is in"
    return token, f"the receivers' token {verb} {token_path(settings.state_dir)}"


def _add_listeners(gateway: GatewayService, settings: GatewaySettings) -> None:
    """Listen where the settings say."""
    from twisted.internet import reactor

    from anp_twisted.gateway.build import string_listener, tcp_listener
    from anp_twisted.gateway.management import ManagementPages

    tls = (settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None
    for description in settings.listen:
        gateway.listen_on(string_listener(reactor, gateway.front, description))
    if not settings.listen:
        gateway.listen_on(tcp_listener(reactor, gateway.front, host=settings.host, port=settings.port, tls=tls))
    for description in settings.wss_listen:
        gateway.listen_on(string_listener(reactor, gateway.link_front, description))
    if settings.wss_port is not None and not settings.wss_listen:
        gateway.listen_on(
            tcp_listener(reactor, gateway.link_front, host=settings.host, port=settings.wss_port, tls=tls)
        )
    if settings.management_port is not None:
        pages = ManagementPages(gateway.stats, lambda: not gateway.draining)
        gateway.listen_on(tcp_listener(reactor, pages.site(), host="127.0.0.1", port=settings.management_port))


def _make(options: Options) -> IService:
    """Build everything; mistakes of the operator come out as L{SettingsError}."""
    from twisted.internet import reactor

    from anp_twisted.gateway.build import build_gateway
    from anp_twisted.ops.logfile import LoggedService, operator_log

    settings = options.settings
    log = operator_log(options)
    token, where = read_or_make_token(settings)
    gateway = build_gateway(
        reactor,
        settings,
        limits=settings.limits(),
        token=token,
        output=_Output(log),
        run_id=secrets.token_hex(4),
    )
    _add_listeners(gateway, settings)
    gateway.log.info("{where}", where=where)
    StopSignals(reactor, gateway.stop_at_once).install()
    top = LoggedService(log)
    gateway.setServiceParent(top)
    return top


class _Output:
    """The public URL to standard output, requests to the access log."""

    def __init__(self, log: OperatorLog) -> None:
        self.announce = log.first.announce
        self.record = log.record


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
