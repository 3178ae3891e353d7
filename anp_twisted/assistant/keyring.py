"""
Tokens and one-time links as methods, and the file in which tokens are kept.

The operator's own token lies in a file of its own, in the clear, since somebody has
to be the first; of all others there are hashes only.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted import __version__
from anp_twisted.assistant import types
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.connection import Connection
from anp_twisted.assistant.connections import Connections, MethodCall
from anp_twisted.assistant.errors import Forbidden, InternalError, InvalidParams, NotFound, Unauthenticated
from anp_twisted.assistant.journal import Journal, WriteFailed, sync_folder
from anp_twisted.assistant.links import Links
from anp_twisted.assistant.tokens import OWNER, Principal, Token, Tokens
from anp_twisted.assistant.types import instant
from anp_twisted.auth.bearer import presented
from anp_twisted.errors import CredentialError

TOKENS_FILE = "assistant-tokens.json"
"""Its name in the state folder."""
OWN_FILE = "assistant.token"
"""Where the operator's own token is, if the settings say nothing else."""


class Keyring:
    """
    Who may call.

    @ivar tokens: all of them.
    @ivar links: one-time links that were not used.
    """

    log = Logger()

    def __init__(self, around: Around, journal: Journal, connections: Connections, *, state_dir: str, own: str = ""):
        """
        @param own: the file with the operator's token, where it may be rotated; empty if the settings have the token.
        """
        limits = around.limits
        self.tokens = Tokens(
            lambda: f"anp_{secrets.token_urlsafe(32)}",
            around.new_id,
            most=limits.assistant_tokens,
            overlap=limits.assistant_token_overlap,
        )
        self.links = Links(limits, lambda: secrets.token_urlsafe(24))
        self._around = around
        self._journal = journal
        self._connections = connections
        self._path = os.path.join(state_dir, TOKENS_FILE)
        self._own = own

    def load(self, own_token: str) -> None:
        """
        Read the tokens; this blocks, and belongs before anything listens.

        @param own_token: the operator's.
        @raise CredentialError: they cannot be read.
        """
        self.tokens.own(own_token, self._around.wall())
        try:
            with open(self._path, "rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise CredentialError(f"others can read {self._path}: chmod 600 {self._path}")
                self.tokens.load(file.read())
        except FileNotFoundError:
            return
        except OSError as error:
            raise CredentialError(f"cannot read {self._path}: {error.strerror}") from None
        except msgspec.DecodeError:
            raise CredentialError(f"{self._path} is not a table of tokens") from None

    def identify(self, authorization: bytes) -> Principal | None:
        """
        @param authorization: the value of an C{Authorization} field.
        @return: who it is, C{None} for nobody.
        """
        token = presented(str(authorization, "latin-1"))
        return None if token is None else self.tokens.identify(token, self._around.wall())

    def methods(self) -> dict[str, MethodCall]:
        """
        @return: what implements each method, by its name.
        """
        return {
            "connect": self.connect,
            "token.list": self.list,
            "token.create": self.create,
            "token.link": self.link,
            "token.rotate": self.rotate,
            "token.revoke": self.revoke,
        }

    @inlineCallbacks
    def connect(
        self, caller: Connection, params: types.ConnectParams
    ) -> Generator[Deferred[Any], Any, types.Connected]:
        """C{connect}."""
        if params.token and params.link:
            raise InvalidParams("either a token or a link", path="$.link")
        made: str | None = None
        if params.token:
            principal = self.tokens.identify(params.token, self._around.wall())
            if principal is None:
                raise Unauthenticated("the token is not valid")
            caller.become(principal)
        elif params.link:
            made = yield self._redeem(caller, params.link)
        who = caller.principal
        limits = self._around.limits
        return types.Connected(
            authenticated=who is not None,
            principal=who.name if who is not None else "",
            role=who.role if who is not None else "",
            version=__version__,
            message_limit=limits.assistant_message if who is not None else limits.assistant_stranger_message,
            heartbeat=limits.assistant_heartbeat,
            token=made,
        )

    def _redeem(self, caller: Connection, link: str) -> Deferred[str]:
        """
        Give a token for a one-time link.

        @raise Unauthenticated: the link is unknown, used or too old.
        """
        now = self._around.wall()
        offer = self.links.redeem(link, now)
        if offer is None:
            raise Unauthenticated("the link is not valid any more")
        token, secret = self.tokens.create(offer.principal, offer.role, now)
        caller.become(Principal(token.principal, token.role, token.id))
        return self._save(token).addCallback(lambda ignored: secret)

    def _save(self, made: Token | None = None) -> Deferred[None]:
        """
        Keep the table.

        @param made: a token that is no good if it cannot be kept.
        """
        data, path = self.tokens.encode(), self._path
        saving = self._journal.run(path, lambda: write_whole(path, data))

        def failed(failure: Failure) -> None:
            failure.trap(WriteFailed)
            if made is not None:
                self.tokens.revoke(made.id)
            raise InternalError("the tokens could not be kept")

        return saving.addErrback(failed)

    # --- the methods of administrators ---------------------------------------------------

    def list(self, caller: Connection, params: types.NoParams) -> types.TokenList:
        """C{token.list}."""
        return types.TokenList(tokens=tuple(_info(token) for token in self.tokens.listed()))

    def create(self, caller: Connection, params: types.TokenCreateParams) -> Deferred[types.TokenSecret]:
        """C{token.create}."""
        token, secret = self.tokens.create(params.principal, params.role, self._around.wall())
        self.log.info("token {id} was made for {principal}", id=token.id, principal=token.principal)
        return self._save(token).addCallback(lambda ignored: _secret(token, secret))

    def link(self, caller: Connection, params: types.NoParams) -> types.TokenLink:
        """C{token.link}."""
        who = caller.who
        secret, offer = self.links.make(who.name, who.role, self._around.wall())
        return types.TokenLink(link=secret, expires_at=instant(offer.expires))

    def rotate(self, caller: Connection, params: types.TokenParams) -> Deferred[types.TokenSecret]:
        """C{token.rotate}."""
        if params.token_id == OWNER and not self._own:
            raise Forbidden("this token is given by the settings")
        token, secret = self.tokens.rotate(params.token_id, self._around.wall())
        self.log.info("token {id} was rotated", id=token.id)
        return self._keep_own(token, secret).addCallback(lambda ignored: _secret(token, secret))

    def _keep_own(self, token: Token, secret: str) -> Deferred[None]:
        """Keep a token that has another secret now."""
        if token.id != OWNER:
            return self._save()
        path, data = self._own, secret.encode() + b"\n"
        return self._journal.run(path, lambda: write_whole(path, data))

    def revoke(self, caller: Connection, params: types.TokenParams) -> Deferred[types.Revoked]:
        """C{token.revoke}."""
        if params.token_id == OWNER:
            raise Forbidden("the operator's token can be rotated, but not revoked")
        try:
            token = self.tokens.revoke(params.token_id)
        except NotFound:
            return succeed(types.Revoked(revoked=False, connections=0))
        self.links.forget(token.principal)
        self.log.info("token {id} of {principal} was revoked", id=token.id, principal=token.principal)
        count = self._connections.revoke(token.id)
        return self._save().addCallback(lambda ignored: types.Revoked(revoked=True, connections=count))


def _info(token: Token) -> types.TokenInfo:
    return types.TokenInfo(
        token_id=token.id,
        principal=token.principal,
        role=token.role,
        created_at=instant(token.created_at),
        rotated_at=instant(token.rotated_at) if token.rotated_at is not None else None,
        old_valid_until=instant(token.old_until) if token.old_digest else None,
    )


def _secret(token: Token, secret: str) -> types.TokenSecret:
    return types.TokenSecret(
        token_id=token.id,
        token=secret,
        principal=token.principal,
        role=token.role,
        old_valid_until=instant(token.old_until) if token.old_digest else None,
    )


def write_whole(path: str, data: bytes) -> None:
    """
    Write a file so that whoever reads it sees all of it, or what was there before.

    @raise OSError: that is not possible.
    """
    draft = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, path)
    except OSError:
        os.unlink(draft)
        raise
    sync_folder(os.path.dirname(path))
