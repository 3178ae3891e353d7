"""
What of a gateway can change while it runs: rules, caps, certificates, the token, what is registered.

Each is a L{Reloadable<anp_twisted.reloading.Reloadable>}. Whatever else the settings
say differently by then needs a restart, and is refused by its name: a reload
that is taken is taken whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.auth.changing import ByToken
from anp_twisted.auth.identity import RECEIVER, DidRule, Kind
from anp_twisted.auth.receivers import DidReceivers
from anp_twisted.auth.tokens import read_or_make
from anp_twisted.config.schema import settings_of
from anp_twisted.config.tables import BothSettings, GatewaySettings
from anp_twisted.errors import RegistryError, SettingsError
from anp_twisted.gateway.admission import Admission
from anp_twisted.gateway.service import GatewayService
from anp_twisted.limits import Limits
from anp_twisted.registry.service import Registry
from anp_twisted.reloading import Commit
from anp_twisted.transports.tls import ServerContext

CHANGEABLE = frozenset(
    {
        *("allow", "deny", "rate_limit", "routes", "show_request_id", "trusted_field"),
        *("body_limit", "body_progress", "body_timeout", "connections", "connections_per_address", "head_timeout"),
        *("connect_timeout", "first_byte_timeout", "idle_timeout", "in_flight", "keep_alive", "total_timeout"),
        *("drain", "overload_lag", "overload_memory", "overload_requests", "write_timeout"),
        *("chunk_size", "ping_interval", "v1_capacity", "v1_frame_limit", "v1_request_chunks"),
        *("allow_did", "client_ca", "tls_cert", "tls_key", "token", "token_file"),
    }
)
"""Settings that a reload obeys."""

Settings = GatewaySettings | BothSettings


class FixedSettings:
    """Refuses a reload that would need a restart; it is asked before the others."""

    def __init__(self, settings: Settings, changeable: frozenset[str] = CHANGEABLE) -> None:
        """
        @param settings: as they were at the start.
        @param changeable: the names of those that may be different.
        """
        self._settings = settings
        self._changeable = changeable

    def prepare(self, settings: Settings) -> Commit:
        """
        @raise SettingsError: something is different that cannot be changed.
        """
        different = [
            row.option
            for name, row in settings_of(type(settings)).items()
            if name not in self._changeable and getattr(settings, name) != getattr(self._settings, name)
        ]
        if (settings.tls_cert is None) != (self._settings.tls_cert is None):
            different.append("tls-cert")
        if different:
            raise SettingsError(f"what needs a restart has changed: {', '.join(different)}")
        return _nothing


class Rules:
    """Who may call, and how much of everything there may be."""

    def __init__(
        self,
        gateway: GatewayService,
        make: Callable[[Any, Limits], Admission],
        share: Callable[[Limits], Limits] = lambda limits: limits,
    ) -> None:
        """
        @param make: makes the rules that settings ask for.
        @param share: the part of the caps that is for this process.
        """
        self._gateway = gateway
        self._make = make
        self._share = share

    def prepare(self, settings: Settings) -> Commit:
        """Make the new rules."""
        limits = self._share(settings.limits())
        admission = self._make(settings, limits)
        return lambda: self._gateway.follow(limits, admission)


class Certificates:
    """What listeners show; connections that are open keep what they have."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context

    def prepare(self, settings: Settings) -> Commit:
        """
        @raise CredentialError: the files cannot be used.
        """
        if settings.tls_cert is None or settings.tls_key is None:
            return _nothing
        authority = settings.client_ca if isinstance(settings, GatewaySettings) else None
        new = ServerContext.read(settings.tls_cert, settings.tls_key, authority)
        return lambda: self._context.become(new)


class SharedTokenOfAll:
    """The token that all receivers may show; who came in with another one is sent away."""

    log = Logger()

    def __init__(self, judge: ByToken, gateway: GatewayService) -> None:
        self._judge = judge
        self._gateway = gateway

    def prepare(self, settings: GatewaySettings) -> Commit:
        """
        @raise CredentialError: it is not safe to use.
        """
        token, _ = read_or_make(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
        return lambda: self.change(token)

    def change(self, token: str) -> None:
        """Go over to another token."""
        if token == self._judge.token:
            return
        self._judge.change(token)
        sent = self._gateway.receivers.send_away(RECEIVER, "the token has changed")
        self.log.info("the token of receivers has changed; {sent} links are closed", sent=sent)


class WelcomeDids:
    """Which DIDs may connect; who may not any more, or not where it is, is sent away."""

    log = Logger()

    def __init__(self, dids: DidReceivers, gateway: GatewayService) -> None:
        self._dids = dids
        self._gateway = gateway

    def prepare(self, settings: GatewaySettings) -> Commit:
        """Read the rules."""
        rules = tuple(settings.did_rules())
        return lambda: self._change(rules)

    def _change(self, rules: Sequence[DidRule]) -> None:
        self._dids.change(rules)
        receivers = self._gateway.receivers
        present = {receiver.link.identity for receiver in receivers.connected()}
        for identity in present:
            if identity.kind is Kind.DID and not self._dids.same(identity):
                receivers.send_away(identity, "what its DID may do has changed")


class Registered:
    """What the registry knows: it is read again, but a database that is away stops no reload."""

    log = Logger()

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def prepare(self, settings: object) -> Commit:
        """Ask later: what is there by then counts."""
        return self._read

    def _read(self) -> None:
        self._registry.reload().addErrback(self._away)

    def _away(self, reason: Failure) -> None:
        reason.trap(RegistryError)
        self.log.warn("the registry cannot be read now: {error}", error=reason.value)


def _nothing() -> None:
    """There is nothing to go over to."""
