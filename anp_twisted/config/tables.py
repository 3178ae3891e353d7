"""
Every setting of every command.

Pure. Help texts are sentences without subject; the default is added where they
are shown. Where a setting is a cap, its default is the one of
L{anp_twisted.limits}, which says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from anp_twisted.config import kinds
from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.identity import ProofSettings, SignerSettings
from anp_twisted.config.links import LinkSettings, PeerSettings
from anp_twisted.config.mounts import Mount, Sort, mounted, mounts_of
from anp_twisted.config.routes import NETWORK, PROXY, RATE, ROUTES, RouteSettings
from anp_twisted.config.schema import Places, setting, settings_of
from anp_twisted.config.shared import SecretProofSettings, SecretSettings
from anp_twisted.errors import SettingsError
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.rates import Rate

_CAPS = DEFAULT_LIMITS
_CLAIMS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "forwarded")


@dataclass(frozen=True, kw_only=True)
class FrontSettings:
    """What a gateway lets one request take, however it was started."""

    public_url: str | None = setting(
        kinds.HTTP_URL, "The address to print as the first line, where it is not the one listened on.", None
    )
    health_path: str = setting(kinds.OPTIONAL_PREFIX, "Answered by the gateway itself; off forwards it too.", "/health")
    in_flight: int = setting(kinds.COUNT, "Requests that one receiver works on at once.", _CAPS.in_flight)
    connect_timeout: float = setting(
        kinds.SECONDS, "How long a request waits for a receiver with room.", _CAPS.connect_budget
    )
    first_byte_timeout: float = setting(
        kinds.SECONDS, "How long a request waits for the first byte of its answer.", _CAPS.first_byte_budget
    )
    idle_timeout: float = setting(
        kinds.SECONDS, "Longest pause between two bytes of an answer; 0 is no limit.", _CAPS.idle_budget
    )
    total_timeout: float = setting(
        kinds.SECONDS, "Longest time for a whole request; 0 is no limit.", _CAPS.total_budget
    )
    body_limit: int = setting(kinds.SIZE, "Largest body of a request.", _CAPS.body)
    websocket_message_limit: int = setting(kinds.SIZE, "Largest message of a WebSocket.", _CAPS.websocket_message)
    websocket_compression: bool = setting(kinds.FLAG, "Agrees to permessage-deflate with callers that offer it.", False)
    head_timeout: float = setting(
        kinds.SOME_SECONDS,
        "From the first byte of a request to the end of its head; a new connection has as long to send that byte.",
        _CAPS.head_timeout,
    )
    body_timeout: float = setting(
        kinds.SOME_SECONDS, "Within which --body-progress more of a request body must come.", _CAPS.body_timeout
    )
    body_progress: int = setting(
        kinds.SIZE, "What must come of a request body within --body-timeout; 1 lets it trickle.", _CAPS.body_progress
    )
    write_timeout: float = setting(
        kinds.SOME_SECONDS, "For a caller who takes nothing of an answer.", _CAPS.write_timeout
    )
    keep_alive: float = setting(kinds.SOME_SECONDS, "For an idle connection between two requests.", _CAPS.keep_alive)
    connections: int = setting(kinds.COUNT, "Open connections of callers.", _CAPS.connections)
    connections_per_address: int = setting(
        kinds.COUNT, "Open connections of callers from one address, or one /64 of IPv6.", _CAPS.connections_per_address
    )
    overload_requests: int = setting(
        kinds.COUNT_OR_ZERO,
        "Requests running and waiting, from which on new ones get 503; 0 is no mark.",
        _CAPS.overload_requests,
    )
    overload_lag: float = setting(
        kinds.SECONDS, "Delay of the event loop from which on new requests get 503; 0 is no mark.", _CAPS.overload_lag
    )
    overload_memory: int = setting(
        kinds.SIZE,
        "Memory of the process from which on new requests get 503; 0 is 80 % of what it may have.",
        _CAPS.overload_memory,
    )

    trusted_proxy: tuple[str, ...] = setting(
        kinds.several(PROXY),
        "Network of proxies that may say who calls, by --trusted-field or PROXY protocol; unix is a UNIX socket; "
        "repeatable.",
        (),
    )
    trusted_field: tuple[str, ...] = setting(
        kinds.several(kinds.choice(*_CLAIMS)),
        "Field that trusted proxies set themselves; any other is dropped; repeatable.",
        _CLAIMS[:4],
    )
    allow: tuple[str, ...] = setting(
        kinds.several(NETWORK), "Network that may call; without any, all may; repeatable.", ()
    )
    deny: tuple[str, ...] = setting(
        kinds.several(NETWORK), "Network that may not call, whatever --allow says; repeatable.", ()
    )
    rate_limit: Rate | None = setting(RATE, "Requests that one caller may make, such as 100/m.", None)
    show_request_id: str = setting(
        kinds.choice("callers", "all", "off"),
        "Who finds the id of a request in X-Request-ID: callers in the answer, or applications too.",
        "callers",
    )
    routes: tuple[tuple[str, RouteSettings], ...] = setting(
        ROUTES, "Options of routes, a table for each prefix.", (), Places.ONLY_IN_FILE
    )

    def __post_init__(self) -> None:
        """
        @raise SettingsError: two ways to name the caller are believed.
        """
        if "forwarded" in self.trusted_field and any(name.startswith("x-forwarded") for name in self.trusted_field):
            raise SettingsError("trusted-field is either forwarded or x-forwarded-…: a proxy sets one of them only")

    def front_limits(self) -> Limits:
        """
        @return: the caps with what the operator set in place of the defaults.
        """
        return replace(
            _CAPS,
            in_flight=self.in_flight,
            connect_budget=self.connect_timeout,
            first_byte_budget=self.first_byte_timeout,
            idle_budget=self.idle_timeout,
            total_budget=self.total_timeout,
            websocket_message=self.websocket_message_limit,
            # What is right for one route would be cut off before its path is known.
            body=max(self.body_limit, *(route.body_limit or 0 for _, route in self.routes), 0),
            head_timeout=self.head_timeout,
            body_timeout=self.body_timeout,
            body_progress=self.body_progress,
            write_timeout=self.write_timeout,
            keep_alive=self.keep_alive,
            connections=self.connections,
            connections_per_address=self.connections_per_address,
            overload_requests=self.overload_requests,
            overload_lag=self.overload_lag,
            overload_memory=self.overload_memory,
        )


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(SecretProofSettings, ProofSettings, PeerSettings, LinkSettings, FrontSettings, CommonSettings):
    """C{twistd anp-gateway}."""

    port: int = setting(kinds.PORT, "Public TCP port: HTTP/1.1, and receivers at /ws; 0 takes any free one.", 9877)
    host: str = setting(
        kinds.HOST, "Address that --port and --wss-port listen on; receivers always need the token.", "0.0.0.0"
    )
    listen: tuple[str, ...] = setting(
        kinds.several(kinds.ENDPOINT), "Twisted endpoint to listen on instead of --host and --port; repeatable.", ()
    )
    wss_port: int | None = setting(kinds.OPTIONAL_PORT, "Second TCP port, for receivers only.", None)
    wss_listen: tuple[str, ...] = setting(
        kinds.several(kinds.ENDPOINT), "Twisted endpoint for receivers only, instead of --wss-port; repeatable.", ()
    )
    tls_cert: str | None = setting(kinds.FILE, "PEM certificate chain: TLS on --port and --wss-port.", None)
    tls_key: str | None = setting(kinds.FILE, "PEM private key of --tls-cert.", None)
    management_port: int | None = setting(
        kinds.OPTIONAL_PORT, "Port on 127.0.0.1 with /health and /stats; off is none.", 9878
    )
    database: str | None = setting(
        kinds.DATABASE,
        "Where tokens and routes are registered: a database that gateways share, instead of registry.sqlite in "
        "--state-dir.",
        None,
        secret=True,
    )
    registry_reread: float = setting(
        kinds.SOME_SECONDS,
        "After which the whole registry is read again, besides what is known to have changed.",
        _CAPS.registry_reread,
    )
    proof_age: float = setting(
        kinds.SOME_SECONDS, "How old a signed proof of identity may be; it is remembered for as long.", _CAPS.proof_age
    )
    workers: int = setting(
        kinds.whole_number("NUMBER", 1, _CAPS.workers), "Processes that share the port, to use several cores.", 1
    )

    def __post_init__(self) -> None:
        """
        @raise SettingsError: TLS is asked for by halves, or for no listener, or workers where they cannot listen.
        """
        if self.workers > 1 and (self.listen or self.wss_listen):
            raise SettingsError("workers share a port: use host, port and wss-port instead of listen and wss-listen")
        super().__post_init__()
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls-cert and tls-key go together: one of them is missing")
        if self.tls_cert and self.listen and (self.wss_listen or self.wss_port is None):
            raise SettingsError(
                "tls-cert has no listener to serve: with --listen, write ssl:… or tls:… into the endpoint"
            )

        self.check_proofs(tls=self.tls_cert is not None, public_url=self.public_url)
        if self.shares_secret and not self.services(self.public_url):
            raise SettingsError("a proof of shared-secret is for a host: say which one this is with --public-host")
        if any(route.auth == "did" for _, route in self.routes) and not self.services(self.public_url):
            raise SettingsError("a proof of a DID is for a host: say which one this is with --public-host")

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(
            self.front_limits(),
            drain=self.drain,
            registry_reread=self.registry_reread,
            proof_age=self.proof_age,
            **self.link_limits(),
            **self.peer_limits(),
        )


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """In which processes an application runs, however it was started."""

    workers: int = setting(kinds.COUNT, "Processes that run the application, each with its own link and capacity.", 1)
    reload: bool = setting(
        kinds.FLAG, "For development: serves the new version when a *.py file changes; needs the extra reload.", False
    )
    reload_dir: tuple[str, ...] = setting(
        kinds.several(kinds.DIRECTORY), "Folder to watch instead of the current one; repeatable, needs --reload.", ()
    )
    lifespan: str = setting(
        kinds.choice("auto", "on", "off"),
        "Whether the application has to take part in the ASGI lifespan (on), may (auto), or is not asked (off).",
        "auto",
    )

    def __post_init__(self) -> None:
        """
        @raise SettingsError: folders are named that nothing watches.
        """
        if self.reload_dir and not self.reload:
            raise SettingsError("reload-dir has no effect without reload")

    @property
    def in_processes(self) -> bool:
        """Whether the application runs in processes of its own."""
        return self.workers > 1 or self.reload


_ROOT = ("/",)


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """What is served, however it was started."""

    app: tuple[str, ...] = setting(
        mounted(kinds.APP),
        "An ASGI application, module:attribute or module:factory(), from the current folder; repeatable with paths.",
        (),
    )
    target: tuple[str, ...] = setting(
        mounted(kinds.TARGET),
        "An HTTP server to pass everything to, http://127.0.0.1:3000, unix:/a/socket; repeatable with paths.",
        (),
    )
    wsgi: tuple[str, ...] = setting(
        mounted(kinds.APP), "A WSGI application, such as Flask's or Django's; repeatable with paths.", ()
    )
    path: tuple[str, ...] = setting(
        kinds.several(kinds.PREFIX),
        "Path prefix to serve, in whole segments; for what has none in front; repeatable.",
        _ROOT,
    )
    target_host: str = setting(
        kinds.choice("keep", "target"), "The Host that a target gets: the caller's, or the target's own.", "keep"
    )
    target_ca_file: str | None = setting(
        kinds.FILE, "PEM certificates to trust for https:// targets instead of the system's.", None
    )
    target_connect_timeout: float = setting(
        kinds.SECONDS, "How long a connection to a target may take.", _CAPS.target_connect
    )
    target_timeout: float = setting(
        kinds.SECONDS, "Longest silence of a target while it is its turn; 0 is no limit.", _CAPS.target_silence
    )
    target_connections: int = setting(kinds.COUNT, "Open connections to one target.", _CAPS.target_connections)
    wsgi_threads: int = setting(kinds.COUNT, "Threads for one WSGI application.", _CAPS.wsgi_threads)

    def check_backends(self) -> None:
        """
        @raise SettingsError: what is served contradicts itself, or something is said of what is not served.
        """
        self.mounts()
        for name, row in settings_of(BackendSettings).items():
            sort = name.partition("_")[0]
            if sort != name and not getattr(self, sort) and getattr(self, name) != row.default:
                raise SettingsError(f"{row.option} has no effect without {sort}")

    def mounts(self) -> tuple[Mount, ...]:
        """
        @return: what serves which path; nothing if nothing was named.
        @raise SettingsError: it contradicts itself.
        """
        given = [(sort, text) for sort in Sort for text in getattr(self, sort.value)]
        return mounts_of(given, () if self.path == _ROOT else self.path)

    def served(self) -> tuple[str, ...]:
        """
        @return: all the paths.
        """
        mounts = self.mounts()
        return tuple(path for mount in mounts for path in mount.paths) if mounts else self.path

    def backend_limits(self) -> dict[str, Any]:
        """
        @return: the caps that are set here, by their names.
        """
        return {
            "target_connect": self.target_connect_timeout,
            "target_silence": self.target_timeout,
            "target_connections": self.target_connections,
            "wsgi_threads": self.wsgi_threads,
        }


@dataclass(frozen=True, kw_only=True)
class ReceiverSettings(SecretSettings, SignerSettings, LinkSettings, BackendSettings, ProcessSettings, CommonSettings):
    """C{twistd anp-receiver}."""

    gateway: tuple[str, ...] = setting(
        kinds.several(kinds.WEBSOCKET_URL),
        "A gateway's WebSocket; ws:// beyond this machine needs --insecure; repeatable.",
        ("ws://127.0.0.1:9877/ws",),
    )
    gateways: str = setting(
        kinds.choice("all", "first"),
        "Of several gateways, be linked to all, or to the first that answers and to the next when it is lost.",
        "all",
    )
    links: int = setting(
        kinds.whole_number("NUMBER", 1, _CAPS.links), "Parallel links to each gateway; requests share them.", 1
    )
    proxy: str | None = setting(
        kinds.PROXY,
        "HTTP proxy to the gateway; by default HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.",
        None,
        secret=True,
    )
    capacity: int = setting(
        kinds.COUNT, "Requests taken at once, over all links to a gateway; it respects that.", _CAPS.in_flight
    )
    ca_file: str | None = setting(kinds.FILE, "PEM certificates to trust for wss:// instead of the system's.", None)
    insecure: bool = setting(
        kinds.FLAG, "For laboratories: allows ws:// to other machines, the token in the clear.", False
    )
    reconnect_delay: float = setting(
        kinds.SOME_SECONDS,
        "Longest first pause before a new attempt; each is drawn at random, and the bound doubles up to "
        f"{_CAPS.reconnect_most:g} s.",
        _CAPS.reconnect_first,
    )
    max_reconnect_attempts: int = setting(
        kinds.COUNT_OR_ZERO, "Gives up after this many failures in a row; 0 never does.", 0
    )
    websocket_message_limit: int = setting(kinds.SIZE, "Largest message of a WebSocket.", _CAPS.websocket_message)
    cancel_grace: float = setting(
        kinds.SECONDS, "From http.disconnect to the cancellation of the application's task.", _CAPS.cancel_grace
    )

    def __post_init__(self) -> None:
        """
        @raise SettingsError: there is nothing to serve, or what is said contradicts itself.
        """
        super().__post_init__()
        self.check_backends()
        self.check_signer()
        if self.shares_secret and (self.did_document or self.token or self.token_file):
            raise SettingsError("shared-secret, did-document and the token are three ways to say who this is: give one")
        if not self.mounts():
            raise SettingsError(
                "--app is missing: name an ASGI application with --app, an HTTP server with --target, "
                "or a WSGI application with --wsgi"
            )

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(
            _CAPS,
            in_flight=self.capacity,
            cancel_grace=self.cancel_grace,
            drain=self.drain,
            websocket_message=self.websocket_message_limit,
            reconnect_first=self.reconnect_delay,
            reconnect_most=max(self.reconnect_delay, _CAPS.reconnect_most),
            **self.backend_limits(),
            **self.link_limits(),
        )


@dataclass(frozen=True, kw_only=True)
class BothSettings(PeerSettings, LinkSettings, FrontSettings, BackendSettings, ProcessSettings, CommonSettings):
    """C{twistd anp-both}; without anything to serve it is the bundled demo."""

    port: int = setting(kinds.PORT, "Public TCP port; 0 takes any free one.", 9877)
    host: str = setting(kinds.HOST, "Address to listen on; the default is this machine only.", "127.0.0.1")
    wss_port: int | None = setting(kinds.OPTIONAL_PORT, "Second TCP port, for other receivers only.", None)
    tls_cert: str | None = setting(kinds.FILE, "PEM certificate chain: TLS on --port and --wss-port.", None)
    tls_key: str | None = setting(kinds.FILE, "PEM private key of --tls-cert.", None)
    management_port: int | None = setting(
        kinds.OPTIONAL_PORT, "Port on 127.0.0.1 with /health and /stats; off is none.", None
    )
    cancel_grace: float = setting(
        kinds.SECONDS, "From http.disconnect to the cancellation of the application's task.", _CAPS.cancel_grace
    )
    overload_lag: float = setting(
        kinds.SECONDS,
        "Delay of the event loop from which on new requests get 503; 0 is no mark, since an application delays it too.",
        0.0,
    )

    def __post_init__(self) -> None:
        """
        @raise SettingsError: what is said contradicts itself.
        """
        FrontSettings.__post_init__(self)
        if any(route.auth == "did" for _, route in self.routes):
            raise SettingsError("callers prove DIDs to anp-gateway only: auth has no effect here")
        ProcessSettings.__post_init__(self)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls-cert and tls-key go together: one of them is missing")
        self.check_backends()

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(
            self.front_limits(),
            cancel_grace=self.cancel_grace,
            drain=self.drain,
            **self.backend_limits(),
            **self.link_limits(),
            **self.peer_limits(),
        )


COMMANDS: dict[str, type[CommonSettings]] = {
    "gateway": GatewaySettings,
    "receiver": ReceiverSettings,
    "both": BothSettings,
    "assistant": AssistantSettings,
}
"""The commands by the name of their section in a TOML file; C{twistd} knows them as C{anp-…}."""

EXCLUSIVE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("token_file", ("token",)),
    ("shared_secret_file", ("shared_secret",)),
    ("listen", ("host", "port")),
    ("wss_listen", ("wss_port",)),
)
"""Two ways to say one thing: what was said in the better place wins, in the same place it is an error."""
