"""
Makes the agent that C{--agent} names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, succeed

from anp_twisted.assistant.agents.applife import AppLife
from anp_twisted.assistant.agents.asgi import AppUpstream, load_app
from anp_twisted.assistant.agents.chat import ChatAgent
from anp_twisted.assistant.agents.echo import EchoAgent
from anp_twisted.assistant.agents.events import Agent
from anp_twisted.assistant.agents.openai import ServerUpstream, make_client
from anp_twisted.assistant.agents.program import ProgramAgent, ThisSystem, parse_command
from anp_twisted.assistant.agents.python import load_python_agent
from anp_twisted.errors import SettingsError
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks

KINDS: Final = "echo, python:module:attribute, openai:https://host/v1, asgi:module:app or exec:command"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """
    What an agent is made with.

    @ivar model: for agents behind the chat completions interface.
    @ivar key: the bearer token that a model's server wants.
    @ivar ca_file: authorities to trust for it, C{None} for those of the system.
    @ivar folder: where modules are looked for first.
    @ivar insecure: whether the key may go to another machine in the clear.
    """

    model: str = "default"
    key: str | None = None
    ca_file: str | None = None
    folder: str = "."
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class LoadedAgent:
    """
    An agent and what has to be closed behind it.

    @ivar close: to be called once, when nothing of the agent runs; what it returns never fails.
    """

    agent: Agent
    close: Callable[[], Deferred[None]] = lambda: succeed(None)


def load_agent(named: str, *, reactor: Any, tasks: Tasks, limits: Limits, options: AgentOptions) -> LoadedAgent:
    """
    Make an agent.

    @param named: one of L{KINDS}.
    @raise SettingsError: it cannot be made; the text says why.
    """
    sort, _, rest = named.partition(":")
    if named == "echo":
        return LoadedAgent(EchoAgent())
    if sort == "python":
        return LoadedAgent(load_python_agent(rest, options.folder))
    if sort == "openai":
        return _server_agent(rest, reactor, tasks, limits, options)
    if sort == "asgi":
        app = load_app(rest, options.folder)
        life = AppLife(app, tasks, limits)
        life.start()
        return LoadedAgent(ChatAgent(AppUpstream(app, life, tasks, limits), tasks, limits, options.model), life.stop)
    if sort == "exec":
        return LoadedAgent(ProgramAgent(parse_command(rest), reactor, tasks, limits, system=ThisSystem()))
    raise SettingsError(f"the agent must be {KINDS}")


def _server_agent(url: str, reactor: Any, tasks: Tasks, limits: Limits, options: AgentOptions) -> LoadedAgent:
    """Make an agent behind a URL."""
    check_server_url(url, secret=options.key is not None and not options.insecure)
    client, pool = make_client(reactor, limits, options.ca_file)
    upstream = ServerUpstream(client, url, tasks, limits, key=options.key)

    def close() -> Deferred[None]:
        closed: Deferred[Any] = pool.closeCachedConnections()
        return closed.addBoth(lambda _: None)

    return LoadedAgent(ChatAgent(upstream, tasks, limits, options.model), close)


def check_server_url(url: str, *, secret: bool) -> None:
    """
    Check the address of a model's server.

    @param secret: whether something goes there that nobody may read on the way.
    @raise SettingsError: it is none, or one that tells a secret.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError("openai: needs an address such as https://host/v1") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise SettingsError("openai: needs an address such as https://host/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError("the address of a model's server has neither user, query nor fragment; the key is apart")
    if secret and parts.scheme == "http" and not _is_here(parts.hostname):
        raise SettingsError("a key would go to another machine in the clear: use https://, or say --agent-insecure")


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
