"""
Why a connection failed, in words for the operator of a receiver.

The texts of the libraries are for their programmers, and OpenSSL's are lists of
tuples. Nothing here repeats what a peer said.
"""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error

_TEXTS: list[tuple[type[BaseException], str]] = [
    (VerificationError, "the gateway's certificate is for another name"),
    (error.ConnectionRefusedError, "nothing listens at the gateway's address"),
    (error.DNSLookupError, "the gateway's name cannot be resolved"),
    (error.TimeoutError, "the gateway does not answer"),
    (error.NoRouteError, "there is no way to the gateway"),
    (error.ConnectError, "the gateway cannot be reached"),
    (error.ConnectionDone, "the gateway closed the connection before the link was open"),
    (error.ConnectionAborted, "the connection was cut before the link was open"),
    (error.ConnectionLost, "the connection was lost before the link was open"),
]
_CERTIFICATE = "the gateway's certificate is not valid: expired, or of an authority that is not trusted (see --ca-file)"


def explain(reason: BaseException | None) -> str:
    """
    Say in one line why there is no link.

    @param reason: what Twisted failed with.
    """
    if isinstance(reason, SSL.Error):
        refused = any("certificate verify failed" in part for entry in reason.args[:1] for part in map(str, entry))
        return _CERTIFICATE if refused else "the gateway does not speak TLS as we do"
    for kind, text in _TEXTS:
        if isinstance(reason, kind):
            return text
    return f"the connection failed: {type(reason).__name__}"
