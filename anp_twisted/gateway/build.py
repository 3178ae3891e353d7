"""
From settings to a gateway that only has to be started.

It is apart from the command so that a process with both ends can use it too.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from anp_twisted.access import AccessRecord
from anp_twisted.auth.bearer import presented, verify
from anp_twisted.config.tables import FrontSettings
from anp_twisted.eventloop import soon
from anp_twisted.gateway.admission import Admission
from anp_twisted.gateway.callers import TrustedProxies
from anp_twisted.gateway.requestids import RequestIds
from anp_twisted.gateway.routeoptions import AccessList, OptionsTable, buckets_of
from anp_twisted.gateway.service import GatewayService, Place, Surroundings
from anp_twisted.http.head import valid_host
from anp_twisted.limits import Limits
from anp_twisted.networks import Networks

#: The identity of every receiver that shows the one token.
_IDENTITY = "receiver"


def identify_by(token: str) -> Callable[[bytes], str | None]:
    """
    Make the check of a receiver's C{Authorization} field.

    @param token: the secret that all receivers share.
    @return: from the field's value to an identity.
    """

    def identify(value: bytes) -> str | None:
        return _IDENTITY if verify(presented(str(value, "latin-1")), token) else None

    return identify


def build_gateway(
    reactor: Any,
    settings: FrontSettings,
    *,
    limits: Limits,
    token: str,
    announce: Callable[[str], None],
    record: Callable[[AccessRecord], None] | None,
    place: Place = Place(),  # noqa: B008 - a value that nothing can change
) -> GatewayService:
    """
    Make a gateway without listeners.

    @param reactor: the reactor it runs on.
    @param token: the secret that receivers show.
    @param announce: gets the public URL when everything listens.
    @param record: gets one record for each request that ended, if anybody wants them.
    @param place: which process this is, where the gateway has several.
    """
    clock: IReactorTime = reactor
    around = Surroundings(
        clock=clock,
        soon=soon(reactor),
        wall=time.time,  # noqa: TID251 - where the time of day comes in
        request_id=RequestIds(secrets.token_bytes),
        identify=identify_by(token),
        record=record,
        announce=announce,
    )
    return GatewayService(
        around,
        limits,
        health_path=settings.health_path,
        public_url=settings.public_url,
        compression=settings.websocket_compression,
        admission=build_admission(settings, limits, clock),
        place=place,
    )


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
