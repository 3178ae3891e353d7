"""
From settings to a receiver that only has to be started.

It is apart from the command so that a process with both ends can use it too.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from anp_twisted.auth.bearer import authorization
from anp_twisted.auth.tokens import TokenSource
from anp_twisted.errors import ANPError, CredentialError
from anp_twisted.eventloop import loop_of, soon
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.receiver.service import Gateway, ReceiverService, Surroundings


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


def build_receiver(
    reactor: Any,
    app: App,
    gateway: Gateway,
    *,
    limits: Limits,
    announce: Callable[[str], None],
    give_up: Callable[[ANPError], None],
) -> ReceiverService:
    """
    Make a receiver.

    @param reactor: the asyncio reactor.
    @param announce: see L{Surroundings}.
    @param give_up: see L{Surroundings}.
    """
    around = Surroundings(
        clock=reactor, soon=soon(reactor), draw=random.SystemRandom().random, announce=announce, give_up=give_up
    )
    return ReceiverService(AppBridge(app, loop=loop_of(reactor), limits=limits), gateway, around)
