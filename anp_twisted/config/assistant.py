"""
The settings of the assistant gateway.

Pure. As in L{anp_twisted.config.tables}, help texts are sentences without subject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from anp_twisted.config import kinds
from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.channels import CHANNELS, ChannelSettings
from anp_twisted.config.routes import NETWORK, ORIGIN, RATE
from anp_twisted.config.schema import Places, setting
from anp_twisted.errors import SettingsError
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.rates import Rate

_CAPS = DEFAULT_LIMITS
_STATE = "Where tokens and sessions are kept; created with mode 0700."


@dataclass(frozen=True, kw_only=True)
class AssistantSettings(CommonSettings):
    """C{twistd anp-assistant}."""

    port: int = setting(kinds.PORT, "TCP port: WebSocket at /ws, chat page at /; 0 takes any free one.", 8080)
    host: str = setting(kinds.HOST, "Address to listen on; the default is this machine only.", "127.0.0.1")
    listen: tuple[str, ...] = setting(
        kinds.several(kinds.ENDPOINT), "Twisted endpoint to listen on instead of --host and --port; repeatable.", ()
    )
    tls_cert: str | None = setting(kinds.FILE, "PEM certificate chain: TLS on --port.", None)
    tls_key: str | None = setting(kinds.FILE, "PEM private key of --tls-cert.", None)
    public_url: str | None = setting(
        kinds.HTTP_URL, "The address to print as the first line; its host may be called by.", None
    )
    agent: str = setting(
        kinds.AGENT,
        "Who answers: echo, python:module:attribute, openai:URL, asgi:module:attribute or exec:COMMAND.",
        "echo",
    )
    agent_model: str = setting(kinds.TEXT, "The model that openai: and asgi: agents are asked for.", "default")
    agent_key: str | None = setting(
        kinds.SECRET, "The bearer token that an openai: agent's server wants.", None, Places.NOT_BY_ARGV
    )
    agent_ca_file: str | None = setting(
        kinds.FILE, "PEM certificates to trust for an openai: agent instead of the system's.", None
    )
    agent_insecure: bool = setting(
        kinds.FLAG, "For laboratories: allows http:// to other machines with a key, in the clear.", False
    )
    instructions: str | None = setting(kinds.TEXT, "What the agent is to be and do; its system prompt.", None)
    state_dir: str = setting(kinds.DIRECTORY, _STATE, "anp-state")
    token_file: str | None = setting(
        kinds.FILE, "Reads the operator's token from this file instead of assistant.token in --state-dir.", None
    )
    token: str | None = setting(
        kinds.SECRET,
        "The operator's token itself. Never an option: others can read arguments.",
        None,
        Places.NOT_BY_ARGV,
    )
    drain: float = setting(kinds.SECONDS, "After SIGTERM, how long answers may take to be complete.", 10.0)
    content_key_file: str | None = setting(
        kinds.FILE, "Encrypts what is said on the disk, with the 32 bytes in base64 in this file.", None
    )
    compact_after: int = setting(
        kinds.whole_number("NUMBER", 0, 150),
        "Records of a session after which the agent writes a summary of it; 0 is never.",
        0,
    )
    allowed_host: tuple[str, ...] = setting(
        kinds.several(kinds.HOST), "Name that clients may call by, besides addresses and localhost; repeatable.", ()
    )
    allowed_origin: tuple[str, ...] = setting(
        kinds.several(ORIGIN), "Origin whose pages may connect, besides the own one; repeatable.", ()
    )
    allow: tuple[str, ...] = setting(
        kinds.several(NETWORK), "Network that may call; without any, all may; repeatable.", ()
    )
    message_rate: Rate = setting(RATE, "Messages that one principal may send.", Rate(100, 60))
    message_limit: int = setting(kinds.SIZE, "Largest message of a client.", _CAPS.assistant_message)
    heartbeat: float = setting(
        kinds.SOME_SECONDS, "Silence after which a client is asked whether it is there.", _CAPS.assistant_heartbeat
    )
    connections: int = setting(kinds.COUNT, "Open WebSockets.", _CAPS.assistant_connections)
    connections_per_address: int = setting(
        kinds.COUNT, "Open WebSockets from one address, or one /64 of IPv6.", _CAPS.assistant_connections_per_address
    )
    connections_per_principal: int = setting(
        kinds.COUNT, "Open WebSockets of one principal.", _CAPS.assistant_connections_per_principal
    )
    channels: tuple[tuple[str, ChannelSettings], ...] = setting(
        CHANNELS, "Accounts of chat services, a table for each name.", (), Places.ONLY_IN_FILE
    )

    def __post_init__(self) -> None:
        """
        @raise SettingsError: TLS is asked for by halves, or for no listener.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls-cert and tls-key go together: one of them is missing")
        if self.tls_cert and self.listen:
            raise SettingsError(
                "tls-cert has no listener to serve: with --listen, write ssl:… or tls:… into the endpoint"
            )

    def limits(self) -> Limits:
        """
        @return: the caps this process works under.
        """
        return replace(
            _CAPS,
            drain=self.drain,
            assistant_message=self.message_limit,
            assistant_heartbeat=self.heartbeat,
            assistant_connections=self.connections,
            assistant_connections_per_address=self.connections_per_address,
            assistant_connections_per_principal=self.connections_per_principal,
        )
