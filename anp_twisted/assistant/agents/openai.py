"""
A model's server behind a URL: C{openai:https://host/v1}.

Any server with the chat completions interface will do. Requests go out with treq;
redirects are not followed, certificates are verified, and what comes faster than
it is taken waits at its source.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.assistant.agents.chat import ReplyHead
from anp_twisted.assistant.agents.pieces import Pieces
from anp_twisted.errors import BackendFault, SettingsError
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks
from anp_twisted.transports.reasons import explain
from anp_twisted.transports.tls import client_options

if TYPE_CHECKING:
    from treq.client import HTTPClient
    from twisted.web.client import HTTPConnectionPool


_LOST: Final = (ConnectionDone, ConnectionLost, ConnectionAborted)


class _Transport(ITransport, IPushProducer):
    """What twisted.web gives to who takes a body."""


class _Body(Protocol):
    """Takes the body of an answer."""

    def __init__(self, tasks: Tasks, limits: Limits) -> None:
        self.pieces = Pieces(tasks, limits.agent_backlog, self._hold)

    def _hold(self, held: bool) -> None:
        transport = cast(_Transport, self.transport)
        if held:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece."""
        self.pieces.put(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The answer is complete, or broke off; where nobody can tell, its own end will."""
        from twisted.web.client import ResponseDone
        from twisted.web.http import PotentialDataLoss

        whole = reason.check(ResponseDone, PotentialDataLoss) is not None
        self.pieces.end(None if whole else BackendFault(f"the answer broke off: {_reason(reason)}"))

    def close(self) -> None:
        """Take no more."""
        if not self.pieces.ended:
            self.pieces.end()
            cast(_Transport, self.transport).loseConnection()


class ServerUpstream:
    """Carries requests to a server."""

    def __init__(self, client: HTTPClient, url: str, tasks: Tasks, limits: Limits, *, key: str | None = None) -> None:
        """
        @param url: of the interface, without C{/chat/completions}.
        @param key: the bearer token that the server wants.
        """
        self._client = client
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._tasks = tasks
        self._limits = limits
        self._fields: dict[bytes | str, bytes | str] = {
            "content-type": "application/json",
            "accept": "text/event-stream, application/json",
        }
        if key is not None:
            self._fields["authorization"] = f"Bearer {key}"

    async def ask(self, body: bytes) -> AsyncGenerator[ReplyHead | bytes, None]:
        """
        Ask.

        @raise BackendFault: see L{anp_twisted.assistant.agents.chat.Upstream}.
        """
        response = await self._response(body)
        taker = _Body(self._tasks, self._limits)
        try:
            yield _head(response)
            response.deliverBody(taker)
            async for piece in taker.pieces.taken():
                yield piece
        finally:
            if taker.transport is None:
                response.deliverBody(taker)  # a body that nobody takes would keep its connection
            taker.close()

    async def _response(self, body: bytes) -> Any:
        """Send the request and wait for the head of the answer."""
        asked = self._client.post(self._url, data=body, headers=self._fields, allow_redirects=False, unbuffered=True)
        asked.addErrback(_fault)
        return await self._tasks.when(asked)


def _fault(reason: Failure) -> None:
    """Say why there is no answer."""
    if reason.check(CancelledError):
        reason.raiseException()
    raise BackendFault(f"no answer: {_reason(reason)}") from reason.value


def _reason(reason: Failure) -> str:
    """Find what is behind the failure that twisted.web makes of others."""
    inner: list[Failure] = getattr(reason.value, "reasons", [])
    error = inner[0].value if inner else reason.value
    return "the connection was lost" if isinstance(error, _LOST) else explain(error, "the server")


def _head(response: Any) -> ReplyHead:
    """Read what is needed of the head."""

    def field(name: str) -> str:
        values = response.headers.getRawHeaders(name)
        return str(values[0]) if values else ""

    return ReplyHead(response.code, field("content-type").partition(";")[0].strip().lower(), field("retry-after"))


def make_client(reactor: Any, limits: Limits, ca_file: str | None = None) -> tuple[HTTPClient, HTTPConnectionPool]:
    """
    Make what sends requests.

    @param ca_file: a PEM file of the only authorities to trust; without it, those of the system.
    @return: the client, and its resting connections, which somebody has to close.
    @raise SettingsError: treq is not installed.
    @raise CredentialError: the file cannot be read.
    """
    try:
        from treq.client import HTTPClient
    except ImportError as error:
        raise SettingsError("an agent behind a URL needs treq: pip install 'anp-twisted[assistant]'") from error
    # Imported here because each of these installs the default reactor where there is none.
    from twisted.web.client import Agent, HTTPConnectionPool
    from twisted.web.iweb import IPolicyForHTTPS

    client_options("localhost", ca_file)

    @implementer(IPolicyForHTTPS)
    class Verified:
        def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
            return client_options(hostname.decode("ascii"), ca_file)

    pool = HTTPConnectionPool(reactor, persistent=True)
    agent = Agent(reactor, Verified(), connectTimeout=limits.agent_connect, pool=pool)
    no_cookies: Any = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return HTTPClient(agent, cookiejar=no_cookies), pool
