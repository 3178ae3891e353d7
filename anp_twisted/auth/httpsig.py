"""
HTTP Message Signatures (RFC 9421) as a proof of a DID.

Pure. Read is what a proof needs: one signature, over the method, the target and
the authority at least, with a time, a nonce and the name of the key. Anything that
could be read in two ways is refused, so that what was signed is what we see.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Final

from anp_twisted.auth.did import InvalidDid, split_key_id
from anp_twisted.auth.identity import Credentials
from anp_twisted.auth.proof import NONCE, Proof
from anp_twisted.errors import CredentialsRefused

LONGEST: Final = 4096
"""Characters of C{Signature-Input}."""

REQUIRED: Final = ("@method", "@target-uri", "@authority")
"""What a signature has to cover at least: else it would be one for other requests, too."""

_COMPONENT = r'"[@a-z0-9!#$%&\'*+.^_`|~-]+"'
_VALUE = r'(?:[0-9]{1,12}|"[ !#-\[\]-~]*")'
_INPUT = re.compile(
    rf"(?P<label>[a-z*][a-z0-9_.*-]*)="
    rf"(?P<params>\((?P<components>{_COMPONENT}(?: {_COMPONENT})*)\)(?P<rest>(?:;[a-z]+={_VALUE})+))"
)
_PARAMETER = re.compile(rf";([a-z]+)=({_VALUE})")
_SIGNATURE = re.compile(r"(?P<label>[a-z*][a-z0-9_.*-]*)=:(?P<value>[A-Za-z0-9+/=]{4,200}):")
_SECURE: Final = ("https", "wss")
_ANY: Final = ("http", "ws", "https", "wss")


def claims(credentials: Credentials) -> bool:
    """
    @return: whether a request has a signature, right or wrong.
    """
    return bool(credentials.values(b"signature-input"))


def parse(credentials: Credentials, services: Sequence[str]) -> Proof:
    """
    @param credentials: a request.
    @param services: the hosts that we are; one with a port is that port only.
    @raise CredentialsRefused: the signature is malformed, covers too little, or is for another host.
    """
    match = _match(_INPUT, credentials, b"signature-input")
    signature = _match(_SIGNATURE, credentials, b"signature")
    components = [quoted.strip('"') for quoted in match["components"].split(" ")]
    if match["label"] != signature["label"]:
        raise CredentialsRefused("the signature is not the one that is described")
    if len(set(components)) != len(components) or not set(REQUIRED) <= set(components):
        raise CredentialsRefused("the signature does not cover method, target and authority")
    pairs = _PARAMETER.findall(match["rest"])
    said = dict(pairs)
    if len(said) != len(pairs):
        raise CredentialsRefused("the signature says something twice")
    try:
        did, key = split_key_id(_text(said, "keyid"))
        content = b64decode(signature["value"], validate=True)
    except InvalidDid as error:
        raise CredentialsRefused(f"the keyid {error}") from None
    except binascii.Error:
        raise CredentialsRefused("the signature is no base64") from None
    nonce = _text(said, "nonce")
    if not NONCE.fullmatch(nonce):
        raise CredentialsRefused("the nonce is malformed")
    signed = tuple(_bases(credentials, components, match["params"], authority_of(credentials, services)))
    expires = _time(said, "expires") if "expires" in said else None
    algorithm = _text(said, "alg") if "alg" in said else None
    return Proof(did, key, nonce, _time(said, "created"), expires, signed, content, algorithm=algorithm)


def _match(shape: re.Pattern[str], credentials: Credentials, name: bytes) -> re.Match[str]:
    """Read the one field of a name."""
    values = credentials.values(name)
    match = None
    if len(values) == 1 and len(values[0]) <= LONGEST:
        match = shape.fullmatch(str(values[0], "latin-1"))
    if match is None:
        raise CredentialsRefused(f"the {name.decode('ascii')} field is missing, malformed, or has two members")
    return match


def _text(said: dict[str, str], name: str) -> str:
    value = said.get(name, "")
    if not value.startswith('"'):
        raise CredentialsRefused(f"the signature has no {name}")
    return value[1:-1]


def _time(said: dict[str, str], name: str) -> float:
    value = said.get(name, "")
    if not value.isdigit():
        raise CredentialsRefused(f"the signature has no time in {name}")
    return float(value)


def authority_of(credentials: Credentials, services: Sequence[str]) -> str:
    """
    Whom a request is for, if that is us.

    The name is believed only because it is one of those in the settings.

    @return: host and port, in lower case.
    @raise CredentialsRefused: it is for somebody else.
    """
    host = str(credentials.host, "latin-1").lower()
    name = re.sub(r":[0-9]+\Z", "", host)
    if host not in services and name not in services:
        raise CredentialsRefused("the proof is for another host")
    return host


def _bases(credentials: Credentials, components: list[str], params: str, authority: str) -> list[bytes]:
    """Make the signature base (RFC 9421, 2.5) for each way in which the target may be spelled."""
    target = str(credentials.target, "latin-1")
    fixed = {"@method": str(credentials.method, "latin-1"), "@authority": authority}
    for name in components:
        if name not in fixed and name != "@target-uri":
            fixed[name] = _field(credentials, name)
    bases = []
    for scheme in _SECURE if credentials.secure else _ANY:
        fixed["@target-uri"] = f"{scheme}://{authority}{target}"
        lines = [f'"{name}": {fixed[name]}' for name in components]
        bases.append("\n".join([*lines, f'"@signature-params": {params}']).encode("latin-1"))
    return bases


def _field(credentials: Credentials, name: str) -> str:
    """Make the value of a header field (RFC 9421, 2.1)."""
    values = credentials.values(name.encode("ascii")) if not name.startswith("@") else []
    if not values:
        raise CredentialsRefused("the signature covers what is not there")
    return ", ".join(str(value, "latin-1").strip(" \t") for value in values)
