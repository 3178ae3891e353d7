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
    (VerificationError, "{who}'s certificate is for another name"),
    (error.ConnectionRefusedError, "nothing listens at {who}'s address"),
    (error.DNSLookupError, "{who}'s name cannot be resolved"),
    (error.TimeoutError, "{who} does not answer"),
    (error.NoRouteError, "there is no way to {who}"),
    (error.ConnectError, "{who} cannot be reached"),
    (error.ConnectionDone, "{who} closed the connection before the link was open"),
    (error.ConnectionAborted, "the connection was cut before the link was open"),
    (error.ConnectionLost, "the connection was lost before the link was open"),
]
_CERTIFICATE = "{who}'s certificate is not valid: expired, or of an authority that is not trusted (see {option})"


def explain(reason: BaseException | None, who: str = "the gateway") -> str:
    """
    Say in one line why there is no link.

    @param reason: what Twisted failed with.
    @param who: whom it was to reach.
    """
    if isinstance(reason, SSL.Error):
        refused = any("certificate verify failed" in part for entry in reason.args[:1] for part in map(str, entry))
        text = _CERTIFICATE if refused else "{who} does not speak TLS as we do"
        return text.format(who=who, option="--target-ca-file" if who == "the target" else "--ca-file")
    for kind, text in _TEXTS:
        if isinstance(reason, kind):
            return text.format(who=who)
    return f"the connection failed: {type(reason).__name__}"
