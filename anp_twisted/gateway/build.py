"""
From settings to a gateway that only has to be started.

It is apart from the command so that a process with both ends can use it too.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from anp_twisted.access import AccessRecord
from anp_twisted.auth.authenticator import Authenticator, SharedToken, Ways
from anp_twisted.auth.changing import ByToken
from anp_twisted.auth.receivers import DidReceivers
from anp_twisted.config.tables import FrontSettings, GatewaySettings
from anp_twisted.eventloop import soon
from anp_twisted.gateway.admission import Admission
from anp_twisted.gateway.callers import TrustedProxies
from anp_twisted.gateway.identities import NO_IDENTITIES, Identities
from anp_twisted.gateway.reload import Registered, Rules, SharedTokenOfAll, WelcomeDids
from anp_twisted.gateway.requestids import RequestIds
from anp_twisted.gateway.routeoptions import AccessList, OptionsTable, buckets_of
from anp_twisted.gateway.service import GatewayService, Place, Surroundings
from anp_twisted.http.head import valid_host
from anp_twisted.limits import Limits
from anp_twisted.networks import Networks
from anp_twisted.registry.authenticator import AfterRegistry, BearerTokens
from anp_twisted.registry.service import Registry
from anp_twisted.registry.source import Source
from anp_twisted.reloading import Reloadable
from anp_twisted.threads import OwnThreads
from anp_twisted.transports.versions import Legacy

_REGISTRY_THREADS = 3
"""One reads, one changes, and one may hang."""

Share = Callable[[Limits], Limits]
"""Finds the part of the caps that is for one of several processes."""


def _whole(limits: Limits) -> Limits:
    """There is one process."""
    return limits


def build_gateway(
    reactor: Any,
    settings: FrontSettings,
    *,
    limits: Limits,
    token: str,
    announce: Callable[[str], None],
    record: Callable[[AccessRecord], None] | None,
    place: Place = Place(),  # noqa: B008 - a value that nothing can change
    registry: Registry | None = None,
    identities: Identities = NO_IDENTITIES,
    parts: list[Reloadable[Any]] | None = None,
    share: Share = _whole,
) -> GatewayService:
    """
    Make a gateway without listeners.

    @param reactor: the reactor it runs on.
    @param token: the secret that receivers show.
    @param announce: gets the public URL when everything listens.
    @param record: gets one record for each request that ended, if anybody wants them.
    @param place: which process this is, where the gateway has several.
    @param registry: whose tokens and places those are; without one the token is all there is.
    @param identities: judges what is proved in other ways.
    @param parts: gets what of it can take new settings.
    @param share: see L{Share}; C{limits} is that part already.
    """
    wall = time.time  # noqa: TID251 - where the time of day comes in
    judge = ByToken(lambda shared: build_authenticator(shared, registry, wall, identities.receivers), token)
    around = Surroundings(
        clock=reactor,
        soon=soon(reactor),
        wall=wall,
        request_id=RequestIds(secrets.token_bytes),
        authenticator=judge,
        record=record,
        announce=announce,
        callers=identities.proofs,
        prover=identities.prover,
        legacy=Legacy(wall, lambda: str(uuid.uuid4())),
    )
    gateway = GatewayService(
        around,
        limits,
        health_path=settings.health_path,
        public_url=settings.public_url,
        compression=settings.websocket_compression,
        admission=build_admission(settings, limits, reactor),
        place=place,
        registry=registry,
    )
    if identities.service is not None:
        identities.service.setServiceParent(gateway)
    given = [] if parts is None else parts
    given += _parts(gateway, rules_of(gateway, reactor, share=share), judge, registry, identities.dids)
    return gateway


def _parts(
    gateway: GatewayService, rules: Rules, judge: ByToken, registry: Registry | None, dids: DidReceivers | None
) -> list[Reloadable[Any]]:
    """List what can take new settings, in the order in which it goes over."""
    registered = [] if registry is None else [Registered(registry)]
    welcome = [] if dids is None else [WelcomeDids(dids, gateway)]
    return [rules, SharedTokenOfAll(judge, gateway), *welcome, *registered]


def rules_of(gateway: GatewayService, clock: IReactorTime, *, share: Share = _whole) -> Rules:
    """Make what gives a gateway other rules."""
    return Rules(gateway, lambda settings, limits: build_admission(settings, limits, clock), share)


def build_registry(reactor: Any, settings: GatewaySettings) -> Registry:
    """
    Make what knows the registry of a gateway; it is read when it is started.

    @raise SettingsError: if the database can never be used.
    """
    source = Source(settings.database, settings.state_dir)
    return Registry(source, OwnThreads(reactor, "anp-registry", _REGISTRY_THREADS), reactor, settings.limits())


def build_authenticator(
    token: str, registry: Registry | None, wall: Callable[[], float], more: Sequence[Authenticator] = ()
) -> Authenticator:
    """
    Make what judges receivers.

    @param token: the secret that all of them may show.
    @param wall: the time of day.
    @param more: other ways to prove an identity.
    """
    if registry is None:
        return Ways([SharedToken(token), *more])
    return AfterRegistry(Ways([BearerTokens(token, registry, wall), *more]), registry)


def build_admission(settings: FrontSettings, limits: Limits, clock: IReactorTime) -> Admission:
    """Make the rules of a gateway: who is calling, and who may."""
    networks = Networks(settings.trusted_proxy)
    proxies = TrustedProxies(networks, settings.trusted_field, valid_host=valid_host) if networks else None
    return Admission(
        proxies=proxies,
        access=AccessList(settings.allow, settings.deny),
        by_caller=buckets_of(settings.rate_limit, limits.rate_buckets),
        routes=OptionsTable(settings.routes, limits.rate_buckets),
        body=settings.body_limit,
        shows_ids=settings.show_request_id,
        seconds=clock.seconds,
    )
