"""
Every public exception of the project, under one root.

Two questions decide where an exception belongs: whose mistake is it, and what
dies of it. L{LocalError} is a mistake of the calling code in this process;
L{RemoteError} is what a peer did. A L{ConnectionFault} ends the whole link, a
L{StreamFault} ends one stream and leaves its link alive.

The code that travels on the wire, the HTTP status a caller sees and the
WebSocket close code are class attributes, so that no one has to look at the
text of an exception to know what to do.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """
    Why a stream or a connection ended, as a RESET or GOAWAY frame says it.

    C{docs/protocol/anpx.md}, "Codes".
    """

    NO_ERROR = 0
    PROTOCOL = 1
    INTERNAL = 2
    FLOW_CONTROL = 3
    TOO_LARGE = 4
    REFUSED = 5
    CANCELLED = 6
    TIMEOUT = 7
    APP_FAILED = 8
    UNREACHABLE = 9
    DRAINING = 10
    UNAUTHORIZED = 11


class ANPError(Exception):
    """
    The root: whatever this package raises on purpose is one of these.

    @cvar code: what a RESET or GOAWAY frame says of it.
    @cvar status: the HTTP status a caller sees, when it reaches one.
    @cvar close_code: the WebSocket close code (RFC 6455, 7.4) when it ends a link.
    """

    code: Code = Code.INTERNAL
    status: int = 502
    close_code: int = 1011


class LocalError(ANPError):
    """The calling code in this process broke a rule of the interface it called."""


class RemoteError(ANPError):
    """A peer did what the protocol forbids, or a peer failed."""

    code = Code.PROTOCOL


class ConnectionFault(RemoteError):
    """The link cannot go on; it is closed with L{close_code}."""

    close_code = 1002


class FrameError(ConnectionFault):
    """Bytes that are not a frame: bad magic, checksum, length or fields."""


class FrameTooLarge(FrameError):
    """A frame, or a part of one, is over its cap."""

    code = Code.TOO_LARGE
    close_code = 1009


class HeadError(FrameError):
    """A frame is sound but the head, settings or reason inside it is not."""


class UnexpectedFrame(ConnectionFault):
    """A sound frame came where the state of the connection has no place for it."""


class FlowControlError(ConnectionFault):
    """A peer sent more than the credit it had."""

    code = Code.FLOW_CONTROL


class GatewayUnproved(ConnectionFault):
    """The gateway is not the one that this receiver wants to serve, or cannot prove that it is."""

    code = Code.UNAUTHORIZED
    close_code = 4003


class LinkSilent(ConnectionFault):
    """Nothing was received for longer than the liveness limit."""

    code = Code.TIMEOUT
    close_code = 1011


class LinkRefused(RemoteError):
    """
    The peer answered the WebSocket handshake with something other than 101.

    @ivar status: the HTTP status it answered, or 0 when it answered none.
    """

    code = Code.UNAUTHORIZED

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ProxyRefused(LinkRefused):
    """
    The proxy on the way to the gateway cannot be used, or cannot reach the gateway.

    @ivar status: the HTTP status the proxy answered, or 0 when it answered none.
    """

    code = Code.UNREACHABLE


class LinkLost(RemoteError):
    """
    The socket of a link is gone, or its peer closed it.

    @ivar closed_with: the WebSocket close code of the peer, 1006 if there was none.
    """

    code = Code.UNREACHABLE

    def __init__(self, message: str, closed_with: int = 1006) -> None:
        super().__init__(message)
        self.closed_with = closed_with


class StreamFault(RemoteError):
    """One stream fails; its link lives on."""


class RequestRefused(RemoteError):
    """
    A caller sent something that is not a request we take.

    @ivar status: the HTTP status it is answered with, before the connection ends.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class CredentialsRefused(RemoteError):
    """
    What somebody showed does not prove who they are, or they may not do what they ask for.

    Its text is for the log; strangers get L{title}.

    @ivar status: the HTTP status it is answered with: 401, 403, 429 or 503.
    @ivar title: a fixed text for who showed it.
    @ivar retry_after: in how many seconds another attempt makes sense, C{None} if that is not known.
    """

    code = Code.UNAUTHORIZED
    close_code = 4003

    def __init__(
        self,
        message: str = "no valid credentials",
        status: int = 401,
        *,
        title: str = "the credentials are missing or wrong",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.title = title
        self.retry_after = retry_after


class StreamClosed(LocalError):
    """The stream has ended, so nothing more can be sent on it."""


class ConnectionClosed(LocalError):
    """The connection has ended or is draining, so no stream can be opened on it."""


class InvalidMessage(LocalError):
    """
    An application used its interface wrongly: an ASGI message out of order, a
    forbidden character in a header field, a status that is none.
    """

    code = Code.APP_FAILED


class BackendFault(RemoteError):
    """
    What the receiver passes requests to failed, and not the receiver.

    Raised out of the call of an application, it tells the gateway so. Its text is
    for the log only.
    """

    code = Code.UNREACHABLE


class BackendTimeout(BackendFault):
    """What the receiver passes requests to is too slow."""

    code = Code.TIMEOUT
    status = 504


class BackendBusy(BackendFault):
    """What the receiver passes requests to takes no more of them now."""

    code = Code.REFUSED
    status = 503


class SettingsError(ANPError):
    """A setting is unknown, malformed or contradicts another; the text is for the operator."""


class AppImportError(SettingsError):
    """C{--app} names something that cannot be imported or called; the text says why."""


class AppStartError(SettingsError):
    """The application said that it could not start, or took too long; the text says which."""


class CredentialError(SettingsError):
    """A secret or a certificate cannot be read, or is not safe to use."""


class RegistryError(SettingsError):
    """The registry cannot be used now; the text says why, without a password."""


class RegistryConflict(RegistryError):
    """The registry has something else that stands against a change."""
