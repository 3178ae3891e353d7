"""
From settings to an assistant gateway that only has to be started.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.task import Cooperator
from twisted.internet.threads import deferToThreadPool

from anp_twisted.assistant.agents.load import AgentOptions, LoadedAgent, load_agent
from anp_twisted.assistant.agents.supervisor import Supervisor
from anp_twisted.assistant.api import ChatApi
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.channels.build import build_channels, methods_of
from anp_twisted.assistant.completions import Completions
from anp_twisted.assistant.connections import Connections, MethodCall
from anp_twisted.assistant.conversations import Conversations
from anp_twisted.assistant.front import AssistantFront, Page, Surrounds
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.keyring import OWN_FILE, Keyring
from anp_twisted.assistant.records import Codec
from anp_twisted.assistant.sealing import Sealer, read_key
from anp_twisted.assistant.service import Agents, AssistantService
from anp_twisted.assistant.sessions import FOLDER, Sessions
from anp_twisted.assistant.tokens import OWNER
from anp_twisted.auth.tokens import create_or_read, source_of, token_path
from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.eventloop import loop_of, soon
from anp_twisted.http.channel import PublicFactory
from anp_twisted.limits import Limits
from anp_twisted.networks import Networks
from anp_twisted.tasks import Tasks

DEFAULT_AGENT = "default"
"""The name of the one agent, in the keys of sessions."""


@dataclass(frozen=True, slots=True)
class Parts:
    """
    The pieces of a gateway, for whoever adds to it.

    @ivar methods: what implements each method; more can be put in until it listens.
    @ivar pages: what answers each path; the same.
    """

    around: Around
    service: AssistantService
    conversations: Conversations
    connections: Connections
    keyring: Keyring
    front: AssistantFront
    tasks: Tasks
    methods: dict[str, MethodCall]
    pages: dict[bytes, Page]


def own_token(settings: AssistantSettings) -> tuple[str, str, str]:
    """
    Find the operator's token, or make one.

    @return: the token; the file in which it may be rotated, empty if there is none; a line for the operator.
    @raise CredentialError: it is not safe to use, or cannot be made.
    """
    if settings.token is not None or settings.token_file is not None:
        source = source_of(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
        return source.read(), "", f"the operator's token is in {settings.token_file or 'the settings'}"
    token, made = create_or_read(settings.state_dir, lambda: f"anp_{secrets.token_urlsafe(32)}", name=OWN_FILE)
    path = token_path(settings.state_dir, OWN_FILE)
    return token, path, f"the operator's token {'was made, it is in' if made else 'is in'} {path}"


def around_of(reactor: Any, limits: Limits) -> Around:
    """
    @param reactor: the reactor everything runs on.
    """
    pool = reactor.getThreadPool()
    return Around(
        clock=reactor,
        soon=soon(reactor),
        wall=time.time,  # noqa: TID251 - where the time of day comes in
        new_id=lambda: secrets.token_hex(8),
        off=lambda work: deferToThreadPool(reactor, pool, work),
        limits=limits,
    )


def build_assistant(
    reactor: Any,
    settings: AssistantSettings,
    around: Around,
    *,
    token: tuple[str, str],
    announce: Callable[[str], None],
) -> Parts:
    """
    Make a gateway without listeners.

    @param token: the operator's, and the file in which it may be rotated.
    @param announce: gets the address of the chat page when everything listens.
    @raise SettingsError: the agent cannot be made, or what is kept on the disk cannot be used.
    """
    journal = Journal(around.off)
    tasks = Tasks(loop_of(reactor), reactor)
    loaded = _load_agent(reactor, settings, tasks, around.limits)
    agents = Supervisor(loaded.agent, tasks, around.limits, instructions=settings.instructions or "")
    conversations = _conversations(settings, around, journal, agents)
    connections = Connections(around, settings.message_rate)
    keyring = Keyring(around, journal, connections, state_dir=settings.state_dir, own=token[1])
    keyring.load(token[0])
    service = AssistantService(
        around,
        conversations,
        connections,
        Agents(agents.stop, loaded.close),
        announce=lambda url: announce(_page_address(settings, keyring, url, around.wall())),
    )
    front = AssistantFront(connections, keyring.identify, surrounds_of(settings), status=service.status)
    service.factory = PublicFactory(reactor, around.limits, front)
    parts = Parts(
        around=around,
        service=service,
        conversations=conversations,
        connections=connections,
        keyring=keyring,
        front=front,
        tasks=tasks,
        methods={**ChatApi(conversations, service.status).methods(), **keyring.methods()},
        pages=_chat_pages(reactor),
    )
    parts.pages.update(Completions(around, front.require, conversations, agents).pages())
    _add_channels(parts, settings, journal)
    connections.methods, front.pages = parts.methods, parts.pages
    return parts


def _chat_pages(reactor: Any) -> dict[bytes, Page]:
    """Read the files of the chat page."""
    from anp_twisted.assistant.page.pages import pages

    return pages(Cooperator(scheduler=lambda turn: reactor.callLater(0, turn)))


def _conversations(settings: AssistantSettings, around: Around, journal: Journal, agents: Supervisor) -> Conversations:
    """
    Open what is on the disk.

    @raise CredentialError: it cannot be used.
    """
    sessions = Sessions(around, os.path.join(settings.state_dir, FOLDER), journal, codec_of(settings))
    sessions.load()
    after = settings.compact_after
    return Conversations(around, sessions, agents, default_agent=DEFAULT_AGENT, compact_after=after)


def _add_channels(parts: Parts, settings: AssistantSettings, journal: Journal) -> None:
    """
    Let the channels of the settings start and stop with the gateway.

    @raise SettingsError: one cannot be made, or what is on the disk cannot be used.
    """
    host = build_channels(
        settings.channels,
        state_dir=settings.state_dir,
        around=parts.around,
        journal=journal,
        tasks=parts.tasks,
        answer=parts.conversations.submit,
    )
    host.setServiceParent(parts.service)  # type: ignore[no-untyped-call]
    parts.methods.update(methods_of(host))


def codec_of(settings: AssistantSettings) -> Codec:
    """
    Say how records become lines.

    @raise CredentialError: the key cannot be used.
    """
    if settings.content_key_file is None:
        return Codec()
    sealer = Sealer(read_key(settings.content_key_file))
    return Codec(sealer.seal, sealer.unseal)


def _load_agent(reactor: Any, settings: AssistantSettings, tasks: Tasks, limits: Limits) -> LoadedAgent:
    """
    Make the agent that the settings name.

    @raise SettingsError: it cannot be made.
    """
    options = AgentOptions(
        model=settings.agent_model,
        key=settings.agent_key,
        ca_file=settings.agent_ca_file,
        folder=os.getcwd(),
        insecure=settings.agent_insecure,
    )
    return load_agent(settings.agent, reactor=reactor, tasks=tasks, limits=limits, options=options)


def _page_address(settings: AssistantSettings, keyring: Keyring, url: str, now: float) -> str:
    """
    Make the address that lets the operator in, once: a fragment is never sent to a server.

    @param url: where the gateway listens.
    """
    link, _ = keyring.links.make(OWNER, "admin", now)
    return f"{(settings.public_url or url).rstrip('/')}/#link={link}"


def surrounds_of(settings: AssistantSettings) -> Surrounds:
    """Say whom the gateway serves."""
    own = urlsplit(settings.public_url or "").hostname
    names = {name.lower() for name in settings.allowed_host} | ({own.lower()} if own else set())
    return Surrounds(hosts=frozenset(names), origins=frozenset(settings.allowed_origin), allow=Networks(settings.allow))
