"""
Every setting of every command.

Pure. Help texts are sentences without subject; the default is added where they
are shown. Where a setting is a cap, its default is the one of
L{anp_twisted.limits}, which says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from anp_twisted.config import kinds
from anp_twisted.config.schema import Places, setting
from anp_twisted.errors import SettingsError
from anp_twisted.limits import DEFAULT_LIMITS, MIB, Limits

_CAPS = DEFAULT_LIMITS


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What each command has: where its secrets, its log and its configuration are."""

    state_dir: str = setting(kinds.DIRECTORY, "Where receiver.token is kept; created with mode 0700.", "anp-state")
    token_file: str | None = setting(
        kinds.FILE, "Reads the receivers' token from this file instead of the one in --state-dir.", None
    )
    token: str | None = setting(
        kinds.SECRET,
        "The receivers' token itself. Never an option: others can read arguments.",
        None,
        Places.NOT_BY_ARGV,
    )
    drain: float = setting(kinds.SECONDS, "After SIGTERM, how long running requests may take to end.", _CAPS.drain)
    log_file: str | None = setting(kinds.FILE, "Writes the log to this file, and rotates it, instead of stderr.", None)
    log_file_size: int = setting(kinds.SIZE, "Size at which the log file is rotated.", 10 * MIB)
    log_file_count: int = setting(kinds.COUNT, "How many rotated log files are kept.", 5)
    log_level: str = setting(kinds.LEVEL, "Least level that is logged.", "info")
    config: str | None = setting(kinds.FILE, "Reads a TOML file with settings.", None, Places.NOT_IN_FILE)


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
            body=self.body_limit,
        )


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(FrontSettings, CommonSettings):
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

    def __post_init__(self) -> None:
        """
        @raise SettingsError: TLS is asked for by halves, or for no listener.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls-cert and tls-key go together: one of them is missing")
        if self.tls_cert and self.listen and (self.wss_listen or self.wss_port is None):
            raise SettingsError(
                "tls-cert has no listener to serve: with --listen, write ssl:… or tls:… into the endpoint"
            )

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(self.front_limits(), drain=self.drain)


@dataclass(frozen=True, kw_only=True)
class ReceiverSettings(CommonSettings):
    """C{twistd anp-receiver}."""

    app: str = setting(
        kinds.APP, "The ASGI application, module:attribute or module:factory(), from the current folder."
    )
    gateway: str = setting(
        kinds.WEBSOCKET_URL,
        "The gateway's WebSocket; ws:// beyond this machine needs --insecure.",
        "ws://127.0.0.1:9877/ws",
    )
    path: tuple[str, ...] = setting(
        kinds.several(kinds.PREFIX), "Path prefix to serve, in whole segments; repeatable.", ("/",)
    )
    capacity: int = setting(kinds.COUNT, "Requests taken at once; the gateway respects it.", _CAPS.in_flight)
    ca_file: str | None = setting(kinds.FILE, "PEM certificates to trust for wss:// instead of the system's.", None)
    insecure: bool = setting(
        kinds.FLAG, "For laboratories: allows ws:// to other machines, the token in the clear.", False
    )
    max_reconnect_attempts: int = setting(
        kinds.COUNT_OR_ZERO, "Gives up after this many failures in a row; 0 never does.", 0
    )
    cancel_grace: float = setting(
        kinds.SECONDS, "From http.disconnect to the cancellation of the application's task.", _CAPS.cancel_grace
    )

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(_CAPS, in_flight=self.capacity, cancel_grace=self.cancel_grace, drain=self.drain)


@dataclass(frozen=True, kw_only=True)
class BothSettings(FrontSettings, CommonSettings):
    """C{twistd anp-both}."""

    app: str | None = setting(
        kinds.APP, "The ASGI application, as for anp-receiver; the bundled demo without it.", None
    )
    port: int = setting(kinds.PORT, "Public TCP port; 0 takes any free one.", 9877)
    host: str = setting(kinds.HOST, "Address to listen on; the default is this machine only.", "127.0.0.1")
    path: tuple[str, ...] = setting(
        kinds.several(kinds.PREFIX), "Path prefix to serve, in whole segments; repeatable.", ("/",)
    )
    management_port: int | None = setting(
        kinds.OPTIONAL_PORT, "Port on 127.0.0.1 with /health and /stats; off is none.", None
    )
    cancel_grace: float = setting(
        kinds.SECONDS, "From http.disconnect to the cancellation of the application's task.", _CAPS.cancel_grace
    )

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(self.front_limits(), cancel_grace=self.cancel_grace, drain=self.drain)


COMMANDS: dict[str, type[CommonSettings]] = {
    "gateway": GatewaySettings,
    "receiver": ReceiverSettings,
    "both": BothSettings,
}
"""The commands by the name of their section in a TOML file; C{twistd} knows them as C{anp-…}."""

EXCLUSIVE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("token_file", ("token",)),
    ("listen", ("host", "port")),
    ("wss_listen", ("wss_port",)),
)
"""Two ways to say one thing: what was said in the better place wins, in the same place it is an error."""
