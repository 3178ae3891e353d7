"""
From settings to a gateway that only has to be started.

It is apart from the command so that a process with both ends can use it too.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamServerEndpoint

from anp_twisted.access import AccessRecord
from anp_twisted.auth.bearer import presented, verify
from anp_twisted.config.tables import FrontSettings
from anp_twisted.errors import SettingsError
from anp_twisted.eventloop import soon
from anp_twisted.gateway.listener import Listener
from anp_twisted.gateway.service import GatewayService, Surroundings
from anp_twisted.limits import Limits
from anp_twisted.transports.tls import server_options

#: The identity of every receiver that shows the one token.
_IDENTITY = "receiver"

_WITH_TLS = ("ssl:", "tls:", "txtorcon:")


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
    record: Callable[[AccessRecord], None],
) -> GatewayService:
    """
    Make a gateway without listeners.

    @param reactor: the reactor it runs on.
    @param token: the secret that receivers show.
    @param announce: gets the public URL when everything listens.
    @param record: gets one record for each request that ended.
    """
    numbers, run_id = count(1), secrets.token_hex(4)
    clock: IReactorTime = reactor
    around = Surroundings(
        clock=clock,
        soon=soon(reactor),
        wall=time.time,  # noqa: TID251 - where the time of day comes in
        request_id=lambda: f"{run_id}-{next(numbers):x}",
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
    )


def tcp_listener(
    reactor: Any, factory: IProtocolFactory, *, host: str, port: int, tls: tuple[str, str] | None = None
) -> Listener:
    """
    Make a listener on a host and a port.

    @param tls: the paths of a certificate chain and its key.
    @raise CredentialError: if they cannot be used.
    """
    name = f"{host} port {port}"
    if tls is not None:
        options = server_options(*tls)
        return Listener(SSL4ServerEndpoint(reactor, port, options, interface=host), factory, name=name, scheme="https")
    plain = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    return Listener(plain(reactor, port, interface=host), factory, name=name, scheme="http")


def string_listener(reactor: Any, factory: IProtocolFactory, description: str) -> Listener:
    """
    Make a listener on a Twisted endpoint string.

    @raise SettingsError: if it is none.
    """
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise SettingsError(f"{description!r} is no endpoint to listen on: {error}") from None
    scheme = "https" if description.startswith(_WITH_TLS) else "http"
    return Listener(endpoint, factory, name=description, scheme=scheme)
