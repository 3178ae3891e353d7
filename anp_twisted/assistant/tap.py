"""The command C{twistd anp-assistant}: settings in, an assistant gateway that listens out."""

from __future__ import annotations

from twisted.application.service import IService

from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.config.options import SettingsOptions
from anp_twisted.errors import SettingsError


class Options(SettingsOptions[AssistantSettings]):
    """What the operator may say."""

    command = "anp-assistant"
    settings_class = AssistantSettings
    synopsis = "[options]"


def _make(options: Options) -> IService:
    """Build everything; mistakes of the operator come out as L{SettingsError}."""
    from twisted.internet import reactor

    from anp_twisted.assistant.build import around_of, build_assistant, own_token
    from anp_twisted.ops.logfile import LoggedService, operator_log
    from anp_twisted.shutdown import StopSignals
    from anp_twisted.transports.listening import string_listener, tcp_listener
    from anp_twisted.transports.tls import context_of

    settings = options.settings
    log = operator_log(options)
    around = around_of(reactor, settings.limits())
    token, own, where = own_token(settings)
    parts = build_assistant(reactor, settings, around, token=(token, own), announce=log.first.announce)
    service = parts.service
    service.log.info("{where}", where=where)
    tls = context_of(settings.tls_cert, settings.tls_key)
    for description in settings.listen:
        service.listen_on(string_listener(reactor, service.factory, description, limits=settings.limits()))
    if not settings.listen:
        service.listen_on(tcp_listener(reactor, service.factory, host=settings.host, port=settings.port, tls=tls))
    StopSignals(reactor, service.stop_at_once).install()
    top = LoggedService(log)
    service.setServiceParent(top)  # type: ignore[no-untyped-call]
    return top


def makeService(options: Options) -> IService:
    """
    Build the service of C{twistd anp-assistant}.

    @raise SystemExit: with one line for the operator, if the settings cannot be used.
    """
    try:
        return _make(options)
    except SettingsError as error:
        options.refuse(error)
        raise
