"""
From the settings of channels to a host of them, added to an assistant gateway.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from anp_twisted.assistant import types
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.channels.account import Surroundings, Take
from anp_twisted.assistant.channels.dispatch import Answer
from anp_twisted.assistant.channels.host import ChannelHost, ChannelPlan, Means
from anp_twisted.assistant.channels.interface import Channel, ChannelFailed, MakeChannel, Port
from anp_twisted.assistant.channels.pairing import ALPHABET, CODE_LENGTH
from anp_twisted.assistant.journal import Journal
from anp_twisted.config.channels import ChannelSettings
from anp_twisted.errors import AppImportError, CredentialError
from anp_twisted.imports import binds, described, imported
from anp_twisted.tasks import Tasks

FOLDER = "channels"
"""In the state folder."""


def new_code() -> str:
    """
    @return: a random pairing code, of 39 bits: a stranger would guess for years within the rate of messages.
    """
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def _checked(label: str, found: Any) -> Any:
    """
    @raise AppImportError: it cannot make a channel.
    """
    if not callable(found) or not binds(signature(found), ("name", None)):
        raise AppImportError(f"{label} is {described(found)} and cannot be called with a name and a port")
    return found


def maker(use: str, folder: str) -> MakeChannel:
    """
    Find what makes a channel.

    @param use: C{python:module:attribute}.
    @param folder: where modules are looked for first.
    @return: makes it, and fails with L{ChannelFailed} where what comes of it is no channel.
    @raise AppImportError: there is nothing of that name.
    """
    make = imported(use.partition(":")[2], folder, _checked)

    def made(name: str, port: Port) -> Channel:
        channel = make(name, port)
        if not isinstance(channel, Channel):
            raise ChannelFailed(f"what {use} makes is no channel")
        return channel

    return made


def build_channels(
    settings: Sequence[tuple[str, ChannelSettings]],
    *,
    state_dir: str,
    around: Around,
    journal: Journal,
    tasks: Tasks,
    answer: Answer,
) -> ChannelHost:
    """
    Make the host of all channels that the settings name.

    @raise SettingsError: one cannot be made, or what is on the disk cannot be used.
    """
    folder = os.path.join(state_dir, FOLDER)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CredentialError(f"cannot make the folder {folder}: {error.strerror}") from None
    plans = [ChannelPlan(name, maker(one.use, os.getcwd()), one.allow) for name, one in settings]

    def surround(take: Take) -> Surroundings:
        return Surroundings(
            clock=around.clock,
            run=tasks.deferred,
            wall=around.wall,
            jitter=random.random,  # noqa: TID251 - where randomness comes in
            take=take,
            limits=around.limits,
        )

    means = Means(
        around=surround, journal=journal, folder=folder, code=new_code, new_id=around.new_id, limits=around.limits
    )
    return ChannelHost(plans, answer, means)


def methods_of(host: ChannelHost) -> Mapping[str, Callable[[Any, Any], Any]]:
    """
    @return: what implements C{channel.*} and C{pairing.*}, by the name of the method.
    """

    def revoke(caller: object, params: types.RevokeParams) -> object:
        return host.pairing_revoke(params.channel, params.sender_id)

    return {
        "channel.list": lambda caller, params: host.channel_list(),
        "channel.status": lambda caller, params: host.channel_status(params.name),
        "pairing.list": lambda caller, params: host.pairing_list(),
        "pairing.approve": lambda caller, params: host.pairing_approve(params.code),
        "pairing.reject": lambda caller, params: host.pairing_reject(params.code),
        "pairing.revoke": revoke,
    }
