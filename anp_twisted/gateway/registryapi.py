"""
What the management interface does with the registry: JSON in, JSON out.

C{docs/reference/management.md} is the reference. It knows nothing of HTTP but
methods, paths and statuses; L{anp_twisted.gateway.management} has the rest.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from anp_twisted.auth.bearer import digest_of, presented, verify
from anp_twisted.auth.tokens import new_token
from anp_twisted.errors import CredentialError, RegistryConflict, RegistryError, SettingsError
from anp_twisted.limits import KIB
from anp_twisted.registry.rows import TokenRow, check_name, check_options, check_owner, check_place
from anp_twisted.registry.service import Registry

B = TypeVar("B", bound=msgspec.Struct)

MOST_BODY: Final = 64 * KIB
"""Bytes of one question: a route with all of its options has a few hundred."""

_DAY: Final = 86400.0


class CreateToken(msgspec.Struct, forbid_unknown_fields=True):
    """Make the first token of an identity."""

    identity: str
    allow: list[str] = []
    expires_in: float | None = None


class RotateToken(msgspec.Struct, forbid_unknown_fields=True):
    """Make another one."""

    identity: str
    overlap: float = _DAY
    expires_in: float | None = None


class RevokeToken(msgspec.Struct, forbid_unknown_fields=True):
    """End those of an identity, or the one with that id."""

    name: str


class PutRoute(msgspec.Struct, forbid_unknown_fields=True):
    """Give a place to an identity."""

    place: str
    owner: str
    options: dict[str, Any] | None = None


class RemoveRoute(msgspec.Struct, forbid_unknown_fields=True):
    """Take a place away."""

    place: str


class Reply(NamedTuple):
    """
    An answer.

    @ivar value: what JSON knows; C{None} for no body.
    """

    status: int
    value: dict[str, Any] | None = None


class RegistryApi:
    """Answers those who know the secret."""

    def __init__(self, registry: Registry, secret: Callable[[], str], wall: Callable[[], float]) -> None:
        """
        @param secret: reads that of C{management.token}, or makes one; raises L{CredentialError}.
        @param wall: the time of day, in seconds since the epoch.
        """
        self._registry = registry
        self._secret = secret
        self._wall = wall
        self._known: dict[tuple[str, str], Callable[[bytes], Deferred[Reply]]] = {
            ("GET", "tokens"): self._tokens,
            ("POST", "tokens"): self._create,
            ("POST", "tokens/rotate"): self._rotate,
            ("POST", "tokens/revoke"): self._revoke,
            ("GET", "routes"): self._routes,
            ("POST", "routes"): self._put,
            ("POST", "routes/remove"): self._remove,
            ("POST", "reload"): self._reload,
        }

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> Deferred[Reply]:
        """
        @param path: what is behind C{/registry/}.
        @param authorization: the value of that field; may be empty.
        @return: fires with the answer; it fails only for a mistake of ours.
        """
        try:
            known = verify(presented(authorization), self._secret())
        except CredentialError:
            return succeed(_problem(503, "management.token cannot be used"))
        if not known:
            return succeed(_problem(401, "the token in management.token is missing or wrong"))
        operation = self._known.get((method, path))
        if operation is None:
            there = any(path == other for _, other in self._known)
            return succeed(_problem(405, "not this method") if there else _problem(404, "there is no such page"))
        if len(body) > MOST_BODY:
            return succeed(_problem(413, "the question is too large"))
        try:
            done = operation(body)
        except SettingsError as error:
            done = fail(error)
        return done.addErrback(_refused)

    # --- tokens ---------------------------------------------------------

    def _tokens(self, body: bytes) -> Deferred[Reply]:
        done = self._registry.ask(lambda store: store.list_tokens())
        return done.addCallback(lambda rows: Reply(200, {"tokens": [_shown(row) for row in rows]}))

    def _create(self, body: bytes) -> Deferred[Reply]:
        asked = _read(body, CreateToken)
        places = [check_place(text) for text in asked.allow]
        row, token = self._new(asked.identity, asked.expires_in)
        done = self._registry.change(lambda store: store.add_token(row, places))
        return done.addCallback(lambda _: Reply(201, {**_shown(row), "token": token}))

    def _rotate(self, body: bytes) -> Deferred[Reply]:
        asked = _read(body, RotateToken)
        if not 0 <= asked.overlap < math.inf:
            raise SettingsError("overlap is no number of seconds")
        row, token = self._new(asked.identity, asked.expires_in)
        done = self._registry.change(lambda store: store.rotate_token(row, asked.overlap))
        return done.addCallback(lambda _: Reply(201, {**_shown(row), "token": token}))

    def _revoke(self, body: bytes) -> Deferred[Reply]:
        asked = _read(body, RevokeToken)
        done = self._registry.change(lambda store: store.revoke(asked.name))
        return done.addCallback(lambda count: Reply(200, {"revoked": count}))

    def _new(self, identity: str, expires_in: float | None) -> tuple[TokenRow, str]:
        if expires_in is not None and not 0 < expires_in < math.inf:
            raise SettingsError("expires_in is no number of seconds")
        token, now = new_token(), self._wall()
        ends = math.inf if expires_in is None else now + expires_in
        return TokenRow(secrets.token_hex(6), check_name(identity), digest_of(token), now, ends), token

    # --- routes ---------------------------------------------------------

    def _routes(self, body: bytes) -> Deferred[Reply]:
        done = self._registry.ask(lambda store: store.list_routes())
        return done.addCallback(
            lambda rows: Reply(
                200,
                {
                    "routes": [
                        {"place": str(row.place), "owner": row.owner, "options": msgspec.json.decode(text or "{}")}
                        for row, text in rows
                    ]
                },
            )
        )

    def _put(self, body: bytes) -> Deferred[Reply]:
        asked = _read(body, PutRoute)
        place, owner = check_place(asked.place), check_owner(asked.owner)
        options = None if asked.options is None else check_options(msgspec.json.encode(asked.options).decode())
        done = self._registry.change(lambda store: store.put_route(place, owner, options))
        return done.addCallback(lambda _: Reply(204))

    def _remove(self, body: bytes) -> Deferred[Reply]:
        place = check_place(_read(body, RemoveRoute).place)
        done = self._registry.change(lambda store: store.drop_route(place))
        return done.addCallback(lambda had: Reply(204) if had else _problem(404, f"{place} belongs to nobody"))

    def _reload(self, body: bytes) -> Deferred[Reply]:
        return self._registry.reload().addCallback(lambda _: Reply(204))


def _read(body: bytes, shape: type[B]) -> B:
    """
    @raise SettingsError: it is no JSON, or of another shape.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"the question is malformed: {error}") from None


def _shown(row: TokenRow) -> dict[str, Any]:
    """What may be shown of a token; its digest may not."""
    expires = None if math.isinf(row.expires) else int(row.expires)
    return {"id": row.id, "identity": row.identity, "created": int(row.created), "expires": expires}


def _problem(status: int, title: str) -> Reply:
    return Reply(status, {"title": title, "status": status})


def _refused(reason: Failure) -> Reply:
    """Tell the operator, who is the one that asks, why it cannot be done."""
    reason.trap(SettingsError)
    if reason.check(RegistryConflict):
        return _problem(409, str(reason.value))
    return _problem(503 if reason.check(RegistryError) else 400, str(reason.value))
