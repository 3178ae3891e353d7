"""
From settings to a receiver that only has to be started.

It is apart from the command so that a process with both ends can use it too.
"""

from __future__ import annotations

import random
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from anp_twisted.auth.bearer import authorization
from anp_twisted.auth.mutual import Judge
from anp_twisted.auth.sharedauth import SharedSigner
from anp_twisted.auth.signer import DidSigner
from anp_twisted.auth.tokens import TokenSource
from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import ANPError, CredentialError, SettingsError
from anp_twisted.eventloop import loop_of, soon
from anp_twisted.lifespan import Mode
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.receiver.crew import CrewService, Post
from anp_twisted.receiver.lag import LagWatch
from anp_twisted.receiver.service import Choice, ReceiverService, lanes_of
from anp_twisted.receiver.uplink import Gateway, Lane, Surroundings
from anp_twisted.transports.addresses import parse_gateway
from anp_twisted.transports.proxies import proxy_of
from anp_twisted.transports.versions import Legacy
from anp_twisted.transports.ways import gateway_endpoint
from anp_twisted.workers import Crew

Headers = Callable[[], dict[str, str]]
"""Makes the header fields of an attempt."""


class BearerHeaders:
    """
    The header fields of each attempt: the token, read anew, so that a new one needs no restart.

    A token that cannot be read any more is no reason to stop: the last one is
    shown instead, and the gateway judges it.
    """

    log = Logger()

    def __init__(self, source: TokenSource) -> None:
        """
        @raise CredentialError: if there is no token to begin with.
        """
        self._source = source
        self._token = source.read()

    def __call__(self) -> dict[str, str]:
        """Make the fields."""
        try:
            self._token = self._source.read()
        except CredentialError as error:
            self.log.warn("{error}; the token read before is used", error=error)
        return {"Authorization": authorization(self._token)}


def new_instance() -> str:
    """
    @return: a name for this process that no other one has.
    """
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """
    Which gateways a receiver is linked to, and how it gets there.

    @ivar urls: C{ws[s]://host[:port][/path]} each, the preferred one first.
    @ivar tokens: where the token comes from; C{None} for a receiver that proves itself in another way.
    @ivar signer: proves a DID, or that a secret is known, instead.
    @ivar judge: takes the gateway that it has to be, by its answer to a challenge.
    @ivar certificate: the PEM files of a certificate chain and its key, to be shown with or without the rest.
    @ivar paths: the prefixes that the application serves.
    @ivar links: how many links there are to each gateway.
    @ivar choice: what to do with several gateways.
    @ivar proxy: see L{proxy_of<anp_twisted.transports.proxies.proxy_of>}.
    @ivar environment: as C{os.environ}: what it says of proxies counts where C{proxy} is C{None}.
    @ivar ca_file: a PEM file of the only authorities to trust.
    @ivar insecure: let C{ws://} leave this machine.
    @ivar attempts: see L{Gateway<anp_twisted.receiver.uplink.Gateway>}.
    """

    urls: Sequence[str]
    tokens: TokenSource | None
    signer: DidSigner | SharedSigner | None = None
    certificate: tuple[str, str] | None = None
    judge: Judge | None = None
    paths: Sequence[str] = ("/",)
    links: int = 1
    choice: Choice = Choice.ALL
    proxy: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    insecure: bool = False
    attempts: int = 0

    def lanes(self, reactor: Any) -> list[Lane]:
        """
        Make what dials them.

        @param reactor: the reactor it happens on.
        @raise SettingsError: if that cannot be done as it is said here.
        """
        headers = None if self.tokens is None else BearerHeaders(self.tokens)
        instance = new_instance()
        gateways = [self._gateway(reactor, url, headers, instance) for url in self.urls]
        if len({gateway.url for gateway in gateways}) < len(gateways):
            raise SettingsError("a gateway is named twice; more links to one are asked for with --links")
        return lanes_of(gateways, links=self.links, choice=self.choice)

    def _gateway(self, reactor: Any, url: str, headers: Headers | None, instance: str) -> Gateway:
        """Make one of them."""
        address = parse_gateway(url, insecure=self.insecure)
        proxy = proxy_of(address, self.proxy, self.environment)
        own = self.certificate if address.secure else None
        return Gateway(
            url=address.url,
            endpoint=gateway_endpoint(reactor, address, ca_file=self.ca_file, proxy=proxy, own=own),
            headers=headers or self._proofs(address.host),
            paths=tuple(self.paths),
            instance=instance,
            attempts=self.attempts,
            judge=self.judge,
            challenge=lambda: secrets.token_hex(16),
        )

    def _proofs(self, host: str) -> Headers:
        """Make what proves us to one gateway."""
        signer = self.signer
        if signer is None:
            return _no_fields
        return lambda: {"Authorization": signer.authorization(host)}


def _no_fields() -> dict[str, str]:
    """A certificate is shown before any field."""
    return {}


def build_receiver(
    reactor: Any,
    app: App,
    lanes: Sequence[Lane],
    *,
    limits: Limits,
    announce: Callable[[str], None],
    give_up: Callable[[ANPError], None],
    linked: Callable[[], None] = lambda: None,
    troubled: Callable[[ANPError], None] = lambda _: None,
    lifespan: Mode = Mode.AUTO,
) -> ReceiverService:
    """
    Make a receiver.

    @param reactor: the asyncio reactor.
    @param lanes: see L{lanes_of<anp_twisted.receiver.service.lanes_of>}.
    @param announce: see L{Surroundings}.
    @param give_up: see L{Surroundings}.
    @param linked: see L{Surroundings}.
    @param troubled: see L{Surroundings}.
    @param lifespan: whether the application has to take part in its lifespan.
    """
    around = Surroundings(
        clock=reactor,
        soon=soon(reactor),
        draw=random.SystemRandom().random,
        announce=announce,
        give_up=give_up,
        linked=linked,
        troubled=troubled,
        legacy=Legacy(time.time, lambda: str(uuid.uuid4())),  # noqa: TID251 - where the time of day comes in
    )
    bridge = AppBridge(app, loop=loop_of(reactor), limits=limits, lifespan=lifespan)
    return ReceiverService(bridge, lanes, around, beside=LagWatch(reactor, limits))


def build_crew(settings: ReceiverSettings, post: Post) -> CrewService:
    """
    Make what runs a receiver in several processes.

    @param settings: of each of them.
    """
    draw = random.SystemRandom().random
    crew = Crew(settings.workers, settings.limits(), draw=draw, reloading=settings.reload)
    return CrewService(crew, settings, post)
