"""
From settings to what judges proofs: DIDs and certificates.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from anp_twisted.auth.authenticator import Authenticator
from anp_twisted.auth.did import HTTPS
from anp_twisted.auth.didauth import DidProofs
from anp_twisted.auth.mutual import GatewayProver
from anp_twisted.auth.receivers import Certificates, DidReceivers
from anp_twisted.auth.replay import FILE, FileMemory, RedisMemory, ReplayMemory, redis_client
from anp_twisted.auth.resolver import DocumentResolver, KnownDocuments, Resolver, WebFetch
from anp_twisted.auth.sharedauth import SharedSecretProofs
from anp_twisted.auth.signer import load_document, load_signer
from anp_twisted.auth.tokens import read_secret
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import CredentialError
from anp_twisted.limits import Limits
from anp_twisted.networks import is_loopback, is_public
from anp_twisted.threads import OwnThreads
from anp_twisted.transports.tls import client_options

_REDIS_THREADS = 4


class MemoryService(Service):
    """Closes the replay memory when the gateway has stopped."""

    def __init__(self, memory: ReplayMemory) -> None:
        self._memory = memory

    def stopService(self) -> Deferred[None]:
        """@return: fires when it is closed."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._memory.stop()


@dataclass(frozen=True, slots=True)
class Identities:
    """
    What a gateway judges proofs with.

    @ivar proofs: judges proofs of DIDs, of whomever; C{None} where it is not said for which host they are.
    @ivar receivers: ways for receivers.
    @ivar dids: one of these: which DIDs may connect.
    @ivar service: becomes a part of the gateway, if there is one.
    @ivar prover: proves the gateway itself, if it can.
    """

    proofs: Authenticator | None
    receivers: Sequence[Authenticator]
    service: Service | None
    prover: GatewayProver | None
    dids: DidReceivers | None = None


NO_IDENTITIES = Identities(None, (), None, None)


def build_identities(
    reactor: Any,
    settings: GatewaySettings,
    *,
    wall: Callable[[], float] = time.time,  # noqa: TID251 - where the time of day comes in
    registered: Callable[[str], bool] = lambda _: False,
) -> Identities:
    """
    Make what judges proofs, as the settings say.

    @param reactor: the reactor it happens on.
    @param wall: the time of day, in seconds since the epoch.
    @param registered: whether places belong to a DID.
    @raise CredentialError: a file cannot be used.
    """
    receivers: list[Authenticator] = [Certificates()] if settings.client_ca else []
    prover = _prover(settings, wall)
    services = settings.services(settings.public_url)
    dids = _takes_dids(settings)
    if not services or not (dids or settings.shares_secret):
        return Identities(None, receivers, None, prover)
    limits, proofs, welcome = settings.limits(), None, None
    memory = _memory(reactor, settings, limits)
    if settings.shares_secret:
        receivers.append(_secret_proofs(settings, memory, wall))
    if dids:
        resolver = _resolver(reactor, settings, limits)
        proofs = DidProofs(resolver, memory, services=services, wall=wall, limits=limits)
        welcome = DidReceivers(proofs, settings.did_rules(), registered)
        receivers.append(welcome)
    return Identities(proofs, receivers, MemoryService(memory), prover, welcome)


def _takes_dids(settings: GatewaySettings) -> bool:
    """
    @return: whether proofs of DIDs can be judged.
    @raise CredentialError: they cannot, and are wanted.
    """
    if find_spec("treq") is not None:
        return True
    if settings.allow_did or any(route.auth == "did" for _, route in settings.routes):
        raise CredentialError("proofs of DIDs need the extra did: pip install 'anp-twisted[did]'")
    return False


def _prover(settings: GatewaySettings, wall: Callable[[], float]) -> GatewayProver | None:
    """Make what proves the gateway itself."""
    signer = secret = None
    if settings.did_document and settings.did_key:
        signer = load_signer(settings.did_document, settings.did_key, wall=wall, nonce=new_nonce)
    if settings.shares_secret:
        secret = read_secret(secret=settings.shared_secret, file=settings.shared_secret_file)
    return GatewayProver(signer, secret) if signer is not None or secret is not None else None


def _secret_proofs(settings: GatewaySettings, memory: ReplayMemory, wall: Callable[[], float]) -> SharedSecretProofs:
    return SharedSecretProofs(
        read_secret(secret=settings.shared_secret, file=settings.shared_secret_file),
        memory,
        services=settings.services(settings.public_url),
        wall=wall,
        expiry=settings.token_expiry,
        ahead=settings.limits().proof_ahead,
    )


def new_nonce() -> str:
    """
    @return: 32 random hexadecimal digits.
    """
    return secrets.token_hex(16)


def _memory(reactor: Any, settings: GatewaySettings, limits: Limits) -> ReplayMemory:
    if settings.replay_url:
        client = redis_client(settings.replay_url, limits.replay_timeout)
        return RedisMemory(OwnThreads(reactor, "anp-redis", _REDIS_THREADS), client)
    try:
        os.makedirs(settings.state_dir, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CredentialError(f"cannot remember used proofs in {settings.state_dir}: {error.strerror}") from None
    path = os.path.join(settings.state_dir, FILE)
    return FileMemory(OwnThreads(reactor, "anp-replay", 1), path, most=limits.proofs_remembered)


def _resolver(reactor: Any, settings: GatewaySettings, limits: Limits) -> Resolver:
    ca_file, loopback = settings.did_ca_file, settings.did_allow_loopback
    if ca_file is not None:
        client_options("localhost", ca_file)  # a mistake is told now, not when somebody comes

    def may_ask(address: str) -> bool:
        return is_public(address) or (loopback and is_loopback(address))

    fetch = WebFetch(reactor, limits, may_ask=may_ask, trust=lambda host: client_options(host, ca_file))
    ports = () if loopback else (HTTPS, *map(int, settings.did_port))
    resolver = DocumentResolver(fetch, reactor, limits, ports=ports)
    documents = [load_document(path) for path in settings.known_did]
    return KnownDocuments({document.id: document for document in documents}, resolver) if documents else resolver
