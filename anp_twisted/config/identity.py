"""
Settings about who is who: proofs of DIDs, certificates, and the memory of what was used.

Pure. They are parts of those of the gateway and of the receiver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from anp_twisted.auth.did import InvalidDid, is_host, parse_did
from anp_twisted.auth.identity import DidRule
from anp_twisted.config import kinds
from anp_twisted.config.schema import setting
from anp_twisted.errors import SettingsError
from anp_twisted.paths import InvalidPrefix, prefix_key

_ADDRESS = re.compile(r"[0-9.]+|\[[0-9A-Fa-f:.]+\]")
_PORT = re.compile(r":([1-9][0-9]{0,4})\Z")


def _host(text: str) -> str:
    lowered = text.lower()
    name = _PORT.sub("", lowered)
    if not is_host(name) and not _ADDRESS.fullmatch(name):
        raise ValueError("must be a host such as gate.example.org, maybe with a port behind a colon")
    return lowered


def _did_rule(text: str) -> str:
    read_did_rule(text)
    return text


def _did_name(text: str) -> str:
    if "=" in text:
        raise ValueError("must be a DID, or did:wba:host:*")
    return _did_rule(text)


def read_did_rule(text: str) -> DidRule:
    """
    Read C{did:wba:host:name}, C{did:wba:host:*}, each maybe with C{=/path} behind it.

    @raise ValueError: if it is none.
    """
    name, mark, path = text.partition("=")
    try:
        parse_did(name.removesuffix(":*") if name.endswith(":*") else name)
        paths = frozenset({prefix_key(path)}) if mark else None
    except InvalidDid as error:
        raise ValueError(str(error)) from None
    except InvalidPrefix:
        raise ValueError("must have a path prefix behind =") from None
    return DidRule(name.removesuffix("*"), name.endswith(":*"), paths)


def _redis(text: str) -> str:
    if not re.fullmatch(r"(?:redis|rediss|unix)://[!-~]+", text):
        raise ValueError("must be redis://host:port/0, rediss://host:port/0 or unix:///a/socket")
    return text


def _public_redis(text: str) -> str:
    if "@" in text:
        raise ValueError(
            "must not contain a user or password, since others can read arguments: use ANP_REPLAY_URL or --config"
        )
    return _redis(text)


HOST = kinds.text_kind("HOST[:PORT]", _host)
DID_NAME = kinds.text_kind("DID", _did_name)
DID_RULE = kinds.text_kind("DID[=/PATH]", _did_rule)
REDIS = kinds.Kind("URL", _redis, lambda value: _redis(str(value)), from_argv=_public_redis)


@dataclass(frozen=True, kw_only=True)
class ProofSettings:
    """How a gateway judges who somebody is."""

    public_host: tuple[str, ...] = setting(
        kinds.several(HOST), "Host that proofs of DIDs have to be for; that of --public-url is one; repeatable.", ()
    )
    allow_did: tuple[str, ...] = setting(
        kinds.several(DID_RULE),
        "DID that may connect as a receiver, and what it may serve; did:wba:host:* is all of a host; repeatable.",
        (),
    )
    known_did: tuple[str, ...] = setting(
        kinds.several(kinds.FILE), "DID document to use instead of the one at the DID's URL; repeatable.", ()
    )
    did_port: tuple[str, ...] = setting(
        kinds.several(kinds.text_kind("PORT", lambda text: str(kinds.PORT.from_text(text)))),
        "Port, besides 443, from which DID documents are fetched; repeatable.",
        (),
    )
    did_ca_file: str | None = setting(
        kinds.FILE, "PEM certificates to trust where DID documents are fetched, instead of the system's.", None
    )
    did_allow_loopback: bool = setting(
        kinds.FLAG, "For laboratories: fetches DID documents from this machine too, and from any port of it.", False
    )
    replay_url: str | None = setting(
        REDIS,
        "Redis server that remembers used proofs, for gateways on several machines; without, a file in --state-dir.",
        None,
        secret=True,
    )
    client_ca: str | None = setting(
        kinds.FILE, "PEM certificates of the authorities whose client certificates prove a receiver; needs TLS.", None
    )
    did_document: str | None = setting(
        kinds.FILE, "This gateway's own DID document, with which it proves itself to receivers that ask.", None
    )
    did_key: str | None = setting(kinds.FILE, "PEM private key of --did-document.", None)

    def check_proofs(self, *, tls: bool, public_url: str | None) -> None:
        """
        @param tls: whether receivers come over TLS of ours.
        @raise SettingsError: what is said contradicts itself.
        """
        _check_pair(self)
        if self.client_ca and not tls:
            raise SettingsError("client-ca needs tls-cert and tls-key: a client certificate is shown over TLS")
        if (self.allow_did or self.did_document) and not self.services(public_url):
            raise SettingsError("a proof of a DID is for a host: say which one this is with --public-host")

    def services(self, public_url: str | None) -> tuple[str, ...]:
        """
        @return: the hosts that proofs have to be for, in lower case.
        """
        named = re.match(r"https?://([^/?#@]+)", public_url.lower()) if public_url else None
        return (*self.public_host, *([named[1]] if named else []))

    def did_rules(self) -> Iterator[DidRule]:
        """
        @return: who may connect.
        """
        return map(read_did_rule, self.allow_did)


@dataclass(frozen=True, kw_only=True)
class SignerSettings:
    """How a receiver proves who it is, where that is not by a token."""

    did_document: str | None = setting(
        kinds.FILE, "DID document of this receiver: it proves its DID instead of showing a token.", None
    )
    did_key: str | None = setting(kinds.FILE, "PEM private key of --did-document.", None)
    tls_cert: str | None = setting(
        kinds.FILE, "PEM certificate chain to show a gateway that asks for one; it needs no token then.", None
    )
    tls_key: str | None = setting(kinds.FILE, "PEM private key of --tls-cert.", None)
    gateway_did: str | None = setting(
        kinds.FILE, "DID document of the gateway: a link is open only when the gateway has proved this DID.", None
    )

    def check_signer(self) -> None:
        """
        @raise SettingsError: one of a pair is missing.
        """
        _check_pair(self)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls-cert and tls-key go together: one of them is missing")


def _check_pair(settings: ProofSettings | SignerSettings) -> None:
    if (settings.did_document is None) != (settings.did_key is None):
        raise SettingsError("did-document and did-key go together: one of them is missing")
