"""
What a request to the assistant is: a WebSocket, the health page, or one of a few paths.

Host and Origin are looked at before anything else, on every path and from every
address: a page on the internet reaches the loopback address of whoever reads it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from twisted.logger import Logger

from anp_twisted.assistant.connections import Connections
from anp_twisted.assistant.errors import RpcError
from anp_twisted.assistant.tokens import Principal
from anp_twisted.errors import RequestRefused
from anp_twisted.headers import get_all
from anp_twisted.http import handshake
from anp_twisted.http.request import PublicRequest
from anp_twisted.networks import Networks, caller_key
from anp_twisted.paths import path_of
from anp_twisted.problems import problem

SUBPROTOCOL = b"anp.jsonrpc.v1"
"""What a browser offers beside its token."""
_BEARER = b"bearer."
_BEARER_TOKEN = re.compile(rb"[A-Za-z0-9_-]{1,5500}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NOBODY_ELSE = Networks(())

WS_PATH = b"/ws"
HEALTH_PATH = b"/health"

Page = Callable[[PublicRequest], None]
"""Answers a request, or attaches a consumer to it, before it returns."""


@dataclass(frozen=True, slots=True)
class Surrounds:
    """
    Whom the gateway serves.

    @ivar hosts: names it is reached by, besides addresses and C{localhost}; lower case, without port.
    @ivar origins: whose pages may connect, besides its own; C{*} is everybody's.
    @ivar allow: who may call; everybody, if it is empty.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    allow: Networks = _NOBODY_ELSE

    def serves(self, host: bytes) -> bool:
        """
        Whether a C{Host} is one of ours. One that is an address always is: no name can be made to lead here by
        whoever owns it.
        """
        try:
            name = (urlsplit("//" + host.decode("ascii")).hostname or "").lower()
        except ValueError:
            return False
        return name in _LOOPBACK or name in self.hosts or _is_address(name)

    def welcomes(self, origin: str, host: bytes, scheme: bytes) -> bool:
        """
        Whether a page may connect.

        @param origin: the value of C{Origin}.
        @param host: the C{Host} of the same request.
        """
        if origin in self.origins or "*" in self.origins:
            return True
        own = {f"http://{host.decode('latin-1').lower()}", f"https://{host.decode('latin-1').lower()}"}
        # Behind a proxy with TLS the scheme here is another than the page's; the name is what tells pages apart.
        return origin.lower() in own


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Refused(Exception):
    """
    A request is not served.

    @ivar status: of the answer.
    @ivar title: what the answer says.
    """

    def __init__(self, status: int, title: str, retry_after: int | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.retry_after = retry_after


class AssistantFront:
    """Takes every request of the listener."""

    log = Logger()

    def __init__(
        self,
        connections: Connections,
        identify: Callable[[bytes], Principal | None],
        surrounds: Surrounds,
        *,
        status: Callable[[], str],
    ) -> None:
        """
        @param identify: from the value of C{Authorization} to who it is.
        @param status: what C{/health} says.
        """
        self.pages: Mapping[bytes, Page] = {}
        self._connections = connections
        self._identify = identify
        self._surrounds = surrounds
        self._status = status

    def __call__(self, request: PublicRequest) -> None:
        """Decide what a request is."""
        path = path_of(request.target)
        try:
            self._check(request)
            if path == WS_PATH:
                self._open(request)
            elif path == HEALTH_PATH:
                self._health(request)
            else:
                self._page(path)(request)
        except Refused as refusal:
            self.refuse(request, refusal)

    def _check(self, request: PublicRequest) -> None:
        """
        See who asks, and for whom.

        @raise Refused: it is not for us, or not theirs.
        """
        surrounds = self._surrounds
        if surrounds.allow and request.client[0] not in surrounds.allow:
            raise Refused(403, "this address may not call")
        if not surrounds.serves(request.host):
            raise Refused(421, "the request is for another server")
        origins = get_all(request.headers, b"origin")
        if len(origins) > 1 or (
            origins and not surrounds.welcomes(origins[0].decode("latin-1"), request.host, request.scheme)
        ):
            raise Refused(403, "pages of this origin may not call")

    def _page(self, path: bytes) -> Page:
        """
        @raise Refused: there is none.
        """
        page = self.pages.get(path)
        if page is None:
            raise Refused(404, "there is nothing here")
        return page

    # --- who calls ----------------------------------------------------------------------

    def principal(self, request: PublicRequest) -> Principal | None:
        """
        Find out who asks.

        @return: C{None} if nothing was shown.
        @raise Refused: what was shown is not valid.
        """
        fields = get_all(request.headers, b"authorization")
        offered = _offered(request)
        shown = [protocol for protocol in offered if protocol.startswith(_BEARER)]
        if not fields and not shown:
            return None
        found = None
        if len(fields) == 1 and not shown:
            found = self._identify(fields[0])
        elif len(shown) == 1 and not fields:
            found = self._identify(b"Bearer " + _decoded(shown[0].removeprefix(_BEARER)))
        if found is None:
            raise Refused(401, "the token is not valid")
        return found

    def require(self, request: PublicRequest) -> Principal:
        """
        Find out who asks over HTTP, and count it against their rate.

        @raise Refused: nobody who may.
        """
        who = self.principal(request)
        if who is None:
            raise Refused(401, "a valid token is needed")
        after = self._connections.spend(f"@{who.name}")
        if after:
            raise Refused(429, "there are too many messages", max(1, round(after)))
        return who

    # --- the WebSocket --------------------------------------------------------------------

    def _open(self, request: PublicRequest) -> None:
        """
        Hand the connection over to a WebSocket.

        @raise Refused: it is none, or there is no room.
        """
        if not handshake.asked(request):
            raise Refused(426, "a WebSocket is opened here")
        try:
            wanted = handshake.read(request)
        except RequestRefused as refusal:
            raise Refused(refusal.status, "the WebSocket handshake is malformed") from None
        principal = self.principal(request)
        if not self._connections.has_room(request.client[0]):
            raise Refused(503, "there are too many connections", 1)
        if principal is not None:
            try:
                self._connections.claim(principal)
            except RpcError as error:
                raise Refused(error.status, error.sentence, 1) from None
        chosen = [(b"Sec-WebSocket-Protocol", SUBPROTOCOL)] if SUBPROTOCOL in _offered(request) else []
        head = handshake.answer(wanted, chosen)
        request.upgrade_to(self._connections.make(request.client[0], principal, head), replay=False)

    # --- answers --------------------------------------------------------------------------

    def _health(self, request: PublicRequest) -> None:
        """Say whether the gateway is well."""
        status = self._status()
        body = b'{"status":"%s"}' % status.encode()
        fields = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
        request.respond(200 if status == "ok" else 503, fields, body=b"" if request.method == b"HEAD" else body)

    def refuse(self, request: PublicRequest, refusal: Refused) -> None:
        """Answer that a request is not served."""
        number = self._connections.around.new_id()
        fields, body = problem(refusal.status, "gateway", refusal.title, number, refusal.retry_after)
        if refusal.status == 426:
            fields = [*fields, (b"Sec-WebSocket-Version", b"13"), (b"Upgrade", b"websocket")]
        if refusal.status == 401:
            fields = [*fields, (b"WWW-Authenticate", b"Bearer")]
        request.respond(refusal.status, fields, body=body)
        # Nothing of the request itself is logged: tokens stand in strange places.
        self.log.info(
            "{id}: {caller} refused with {status}: {title}",
            id=number,
            caller=caller_key(request.client[0]),
            status=refusal.status,
            title=refusal.title,
        )


def _offered(request: PublicRequest) -> list[bytes]:
    """The subprotocols that a client offers, in its order."""
    offered = b",".join(get_all(request.headers, b"sec-websocket-protocol"))
    return [one.strip() for one in offered.split(b",") if one.strip()]


def _decoded(text: bytes) -> bytes:
    """
    @return: a token from base64url; one that cannot be is nobody's.
    """
    if not _BEARER_TOKEN.fullmatch(text):
        return b"\x00"
    try:
        return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return b"\x00"
