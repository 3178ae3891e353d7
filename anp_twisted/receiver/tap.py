"""The command C{twistd anp-receiver}: settings and an application in, a receiver out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.logger import Logger

from anp_twisted.auth.tokens import TokenSource, source_of, token_path
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import ANPError, CredentialError, SettingsError
from anp_twisted.lifespan import Mode
from anp_twisted.reloading import reload_on_hangup

if TYPE_CHECKING:
    from anp_twisted.auth.mutual import Judge
    from anp_twisted.auth.sharedauth import SharedSigner
    from anp_twisted.auth.signer import DidSigner
    from anp_twisted.ops.logfile import LoggedService, OperatorLog
    from anp_twisted.receiver.crew import CrewService
    from anp_twisted.receiver.service import ReceiverService
    from anp_twisted.receiver.uplink import Lane
    from anp_twisted.shutdown import Failing


class Options(SettingsOptions[ReceiverSettings]):
    """What the operator may say."""

    command = "anp-receiver"
    settings_class = ReceiverSettings
    synopsis = "[options]"


def lanes_for(reactor: Any, settings: ReceiverSettings) -> list[Lane]:
    """
    Find out whom to dial, and with which token.

    @raise SettingsError: if that cannot be done as the settings say.
    """
    from anp_twisted.receiver.build import Destination
    from anp_twisted.receiver.service import Choice
    from anp_twisted.transports.addresses import parse_gateway

    for url in settings.gateway:  # before the token is looked for, which is not to be shown there
        parse_gateway(url, insecure=settings.insecure)
    signer = _signer(settings)
    certificate = (settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None
    destination = Destination(
        urls=settings.gateway,
        tokens=None if _proves_otherwise(settings) else _token_source(settings),
        signer=signer,
        certificate=certificate,
        judge=_judge(settings, signer),
        paths=settings.served(),
        links=settings.links,
        choice=Choice(settings.gateways),
        proxy=settings.proxy,
        environment=os.environ,
        ca_file=settings.ca_file,
        insecure=settings.insecure,
        attempts=settings.max_reconnect_attempts,
    )
    return destination.lanes(reactor)


def _proves_otherwise(settings: ReceiverSettings) -> bool:
    """
    Whether no token is needed, since something else proves who this is.

    @raise CredentialError: if both are given: one request has room for one of them.
    """
    if settings.did_document is not None and (settings.token is not None or settings.token_file is not None):
        raise CredentialError("a receiver proves its DID or shows a token: leave out did-document or the token")
    return (
        settings.did_document is not None
        or settings.shares_secret
        or (settings.tls_cert is not None and settings.token is None and settings.token_file is None)
    )


def _signer(settings: ReceiverSettings) -> DidSigner | SharedSigner | None:
    """
    Make what proves a DID, or a secret, if there is one.

    @raise CredentialError: a file cannot be used.
    @raise SettingsError: the secret can be guessed.
    """
    import secrets
    import time

    from anp_twisted.auth.sharedauth import SharedSigner
    from anp_twisted.auth.signer import load_signer
    from anp_twisted.auth.tokens import read_secret

    wall = time.time  # noqa: TID251 - where the time of day comes in
    if settings.shares_secret:
        secret = read_secret(secret=settings.shared_secret, file=settings.shared_secret_file)
        return SharedSigner(secret, wall=wall, nonce=lambda: secrets.token_hex(16))
    if settings.did_document is None or settings.did_key is None:
        return None
    return load_signer(settings.did_document, settings.did_key, wall=wall, nonce=lambda: secrets.token_hex(16))


def _judge(settings: ReceiverSettings, signer: DidSigner | SharedSigner | None) -> Judge | None:
    """
    Make what takes the right gateway alone; who proves a secret to it wants to hear that it knows it.

    @raise CredentialError: a file cannot be used.
    """
    from anp_twisted.auth.mutual import DidJudge, SecretJudge
    from anp_twisted.auth.signer import DidSigner, load_document
    from anp_twisted.auth.tokens import read_secret

    if settings.gateway_did is not None:
        return DidJudge(load_document(settings.gateway_did), signer.did if isinstance(signer, DidSigner) else "")
    if settings.shares_secret:
        return SecretJudge(read_secret(secret=settings.shared_secret, file=settings.shared_secret_file))
    return None


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


def make_receiver(
    reactor: Any,
    settings: ReceiverSettings,
    folder: str,
    *,
    announce: Callable[[str], None],
    give_up: Callable[[ANPError], None],
    linked: Callable[[], None] = lambda: None,
) -> ReceiverService:
    """
    Import the application and make the receiver that serves it in this process.

    @param folder: where the application is imported from.
    @raise SettingsError: if that cannot be done as the settings say.
    """
    from anp_twisted.receiver.backends import load_backend
    from anp_twisted.receiver.build import build_receiver

    lanes, limits = lanes_for(reactor, settings), settings.limits()
    return build_receiver(
        reactor,
        load_backend(reactor, settings, folder, limits),
        lanes,
        limits=limits,
        announce=announce,
        give_up=give_up,
        linked=linked,
        lifespan=Mode(settings.lifespan),
    )


def make_crew(
    reactor: Any, settings: ReceiverSettings, top: LoggedService, *, log: OperatorLog, failing: Failing
) -> CrewService:
    """
    Make what serves the application in processes of its own, and watches its files where that is wanted.

    @param top: gets the services.
    @raise SettingsError: if that cannot be done as the settings say.
    """
    from anp_twisted.receiver.build import build_crew
    from anp_twisted.receiver.crew import Post
    from anp_twisted.receiver.reload import ReloadWatch, watched_folders

    lanes_for(reactor, settings)  # what is wrong with it is to be said once, and before anything starts
    folder = os.getcwd()
    folders = watched_folders(settings.reload_dir, folder) if settings.reload else ()
    post = Post(reactor=reactor, folder=folder, write=log.write, announce=log.first.announce, give_up=failing.fail)
    crew = build_crew(settings, post)
    crew.setServiceParent(top)  # type: ignore[no-untyped-call]
    if folders:
        ReloadWatch(reactor, folders, crew.changed).setServiceParent(top)  # type: ignore[no-untyped-call]
    return crew


def _make(options: Options) -> IService:
    """Build everything; mistakes of the operator come out as L{SettingsError}."""
    from twisted.internet import reactor

    from anp_twisted.ops.logfile import LoggedService, operator_log
    from anp_twisted.shutdown import Failing, StopSignals

    settings = options.settings
    log = operator_log(options)
    reload_on_hangup(reactor, _nothing_to_reload)
    failing = Failing(reactor, options.command)
    top = LoggedService(log)
    if settings.in_processes:
        crew = make_crew(reactor, settings, top, log=log, failing=failing)
        StopSignals(reactor, crew.stop_at_once).install()
        return top
    receiver = make_receiver(reactor, settings, os.getcwd(), announce=log.first.announce, give_up=failing.fail)
    StopSignals(reactor, receiver.stop_at_once).install()
    receiver.setServiceParent(top)  # type: ignore[no-untyped-call]
    return top


def _nothing_to_reload() -> None:
    """Answer a SIGHUP, which would end the process if nobody did."""
    Logger().info("a receiver reads its token before each attempt; everything else needs a restart")


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
