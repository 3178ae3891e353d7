"""
Who may call: tokens, of which only hashes are kept.

Pure. A token is 256 random bits, so a plain hash tells nothing of it, and looking
one up by its hash takes a time from which nothing about it can be learned. During
a rotation two secrets of a token work.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple

import msgspec

from anp_twisted.assistant.errors import NotFound, Overloaded

OWNER: Final = "admin"
"""Id of the operator's token, and the name of its principal."""


class Principal(NamedTuple):
    """
    Somebody who has proved to be somebody.

    @ivar name: who; sessions belong to it.
    @ivar role: C{admin} or C{user}.
    @ivar token_id: by which token.
    """

    name: str
    role: str
    token_id: str

    @property
    def is_admin(self) -> bool:
        """Whether everything may be done, and every session be seen."""
        return self.role == "admin"


class Token(msgspec.Struct, kw_only=True):
    """
    A token as it is kept. Times are seconds since the epoch.

    @ivar digest: of the secret.
    @ivar old_digest: of the secret before the last rotation, empty if there was none.
    @ivar old_until: until when that one works.
    """

    id: str
    principal: str
    role: str
    digest: str
    created_at: float
    rotated_at: float | None = None
    old_digest: str = ""
    old_until: float = 0.0


_tokens = msgspec.json.Decoder(list[Token])


def digest(secret: str) -> str:
    """
    @return: what is kept of a secret.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """
    The table of tokens.

    @ivar changed: called with the encoded table after each change, to keep it.
    """

    def __init__(self, new_secret: Callable[[], str], new_id: Callable[[], str], *, most: int, overlap: float) -> None:
        """
        @param most: tokens at most.
        @param overlap: seconds for which the secret before a rotation still works.
        """
        self._new_secret = new_secret
        self._new_id = new_id
        self._most = most
        self._overlap = overlap
        self._tokens: dict[str, Token] = {}
        self._by_digest: dict[str, Token] = {}

    def load(self, data: bytes) -> None:
        """
        Take up what was kept.

        @raise msgspec.DecodeError: it is no such table.
        """
        for token in _tokens.decode(data):
            self._add(token)

    def encode(self) -> bytes:
        """
        @return: what is to be kept.
        """
        kept = [token for token in self._tokens.values() if token.id != OWNER]
        return msgspec.json.format(msgspec.json.encode(kept))

    def _add(self, token: Token) -> None:
        self._tokens[token.id] = token
        self._by_digest[token.digest] = token
        if token.old_digest:
            self._by_digest[token.old_digest] = token

    def identify(self, secret: str, now: float) -> Principal | None:
        """
        @param now: seconds since the epoch.
        @return: whose secret it is, C{None} for one that is nobody's.
        """
        presented = digest(secret)
        token = self._by_digest.get(presented)
        if token is None:
            return None
        current = compare_digest(presented, token.digest)
        if not current and not (compare_digest(presented, token.old_digest) and now < token.old_until):
            return None
        return Principal(token.principal, token.role, token.id)

    def listed(self) -> list[Token]:
        """
        @return: all of them, in the order in which they were made.
        """
        return list(self._tokens.values())

    def own(self, secret: str, now: float) -> None:
        """Take up the token of the operator, which is kept elsewhere."""
        self._add(Token(id=OWNER, principal=OWNER, role="admin", digest=digest(secret), created_at=now))

    def create(self, principal: str, role: str, now: float) -> tuple[Token, str]:
        """
        Make a token.

        @return: the token, and its secret, which is nowhere else.
        @raise Overloaded: there are too many.
        """
        if len(self._tokens) >= self._most:
            raise Overloaded("there are too many tokens")
        secret = self._new_secret()
        made = f"tok-{self._new_id()}"
        token = Token(id=made, principal=principal, role=role, digest=digest(secret), created_at=now)
        self._add(token)
        return token, secret

    def rotate(self, token_id: str, now: float) -> tuple[Token, str]:
        """
        Give a token another secret; the one before works for a while.

        @raise NotFound: there is no such token.
        """
        token = self.find(token_id)
        self._by_digest.pop(token.old_digest, None)
        secret = self._new_secret()
        token.old_digest, token.old_until = token.digest, now + self._overlap
        token.digest, token.rotated_at = digest(secret), now
        self._add(token)
        return token, secret

    def revoke(self, token_id: str) -> Token:
        """
        End a token, both of its secrets.

        @raise NotFound: there is no such token.
        """
        token = self.find(token_id)
        del self._tokens[token.id]
        self._by_digest.pop(token.digest, None)
        self._by_digest.pop(token.old_digest, None)
        return token

    def find(self, token_id: str) -> Token:
        """
        @raise NotFound: there is no such token.
        """
        token = self._tokens.get(token_id)
        if token is None:
            raise NotFound("there is no such token")
        return token
