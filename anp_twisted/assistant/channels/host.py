"""
All channels of an assistant: a service, and what operators may ask of it.

What strangers wrote and the answers to it never meet here: each account has its own
state, its own outbox and its own worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from anp_twisted.assistant.bus import Topic
from anp_twisted.assistant.channels.access import AllowList
from anp_twisted.assistant.channels.account import Account, Surroundings
from anp_twisted.assistant.channels.dispatch import Answer, Dispatcher
from anp_twisted.assistant.channels.intake import Intake
from anp_twisted.assistant.channels.interface import MakeChannel, Received
from anp_twisted.assistant.channels.outbox import Outbox, Put
from anp_twisted.assistant.channels.outboxfile import OutboxFile, replace_file
from anp_twisted.assistant.channels.pairing import Approved, PairingDesk, Request
from anp_twisted.assistant.channels.worker import OutboundWorker
from anp_twisted.assistant.errors import NotFound
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.messages import InboundMessage, OutboundMessage
from anp_twisted.assistant.types import (
    ChannelInfo,
    ChannelList,
    Paired,
    PairingDecision,
    PairingList,
    PairingRequest,
    PairingRevoked,
    instant,
)
from anp_twisted.errors import SettingsError
from anp_twisted.limits import Limits

_PAIRINGS = "pairings.json"

_CODE = (
    "This assistant does not know you. Its operator can let you in with the code {code}; "
    "it is good for {minutes} minutes."
)


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """
    A channel as the settings describe it.

    @ivar make: makes it.
    @ivar allow: who may write; empty is nobody, C{*} everybody.
    """

    name: str
    make: MakeChannel
    allow: tuple[str, ...] = ()


class PairingFile:
    """Who was let in, on disk."""

    def __init__(self, folder: str, journal: Journal) -> None:
        self._path = os.path.join(folder, _PAIRINGS)
        self._journal = journal

    def load(self) -> tuple[Approved, ...]:
        """
        @raise SettingsError: it is there and cannot be read. Nobody is let in by mistake, and nobody's approval
            is written over.
        """
        try:
            with open(self._path, "rb") as file:
                return tuple(msgspec.json.decode(file.read(), type=list[Approved]))
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError):
            raise SettingsError(f"{self._path} cannot be read: mend it, or take it away to begin anew") from None

    def save(self, approved: Iterable[Approved]) -> Deferred[None]:
        """
        @return: fires when it is on disk; fails with L{WriteFailed<anp_twisted.assistant.journal.WriteFailed>}.
        """
        data = msgspec.json.format(msgspec.json.encode(list(approved))) + b"\n"
        return self._journal.run(self._path, lambda: replace_file(self._path, data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """
    What the host works with.

    @ivar folder: where outboxes and pairings are kept; it is there.
    @ivar code: makes a random code for a stranger.
    @ivar new_id: makes an id that nothing else has.
    """

    around: Callable[[Callable[[InboundMessage, bool], Received]], Surroundings]
    journal: Journal
    folder: str
    code: Callable[[], str]
    new_id: Callable[[], str]
    limits: Limits


class ChannelHost(Service):
    """The service; its methods whose names are those of remote methods are for operators."""

    log = Logger()

    def __init__(self, plans: Iterable[ChannelPlan], answer: Answer, means: Means, *, pairing: bool = True) -> None:
        """
        @param answer: asks the assistant.
        @param pairing: whether strangers are given codes.
        @raise SettingsError: what is on disk cannot be used.
        """
        self._limits = limits = means.limits
        self._around = around = means.around(self._take)
        self._pairings = PairingFile(means.folder, means.journal)
        self._desk = PairingDesk(limits, means.code, self._pairings.load())
        topic = Topic[InboundMessage](
            waiting=limits.inbound_waiting, per_key=limits.inbound_per_chat, at_once=limits.inbound_at_once
        )
        self._intake = Intake(topic, self._desk if pairing else None, limits)
        self._dispatcher = Dispatcher(topic, answer, self.deliver, new_id=means.new_id)
        self._accounts = {plan.name: self._account(plan, means, around) for plan in plans}

    def startService(self) -> None:
        """Start all channels."""
        super().startService()  # type: ignore[no-untyped-call]
        for account in self._accounts.values():
            account.start()

    def stopService(self) -> Deferred[None]:
        """
        Take no more, give answers that are under way half of the time there is, and stop all channels.

        @return: fires when all have let go; what is in the outboxes is sent another time.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        finishing = self._dispatcher.finish().addTimeout(self._limits.drain / 2, self._around.clock)
        # boundary: whatever became of the answers, the channels are stopped.
        finishing.addErrback(lambda failure: self.log.info("answers were cut by the stop"))
        return finishing.addCallback(lambda ignored: self._stop_accounts())

    def _stop_accounts(self) -> Deferred[None]:
        stopping = DeferredList([account.stop() for account in self._accounts.values()])
        return stopping.addCallback(lambda ignored: None)

    def deliver(self, message: OutboundMessage) -> Deferred[Put]:
        """Put a message into the outbox of its channel."""
        account = self._accounts.get(message.channel)
        return account.worker.put(message) if account is not None else succeed(Put.FULL)

    # --- for operators ---------------------------------------------------------

    def channel_list(self) -> ChannelList:
        """Describe all channels."""
        return ChannelList(tuple(self._info(account) for account in self._accounts.values()))

    def channel_status(self, name: str) -> ChannelInfo:
        """
        Describe a channel.

        @raise NotFound: there is none of this name.
        """
        account = self._accounts.get(name)
        if account is None:
            raise NotFound("there is no channel of that name")
        return self._info(account)

    def pairing_list(self) -> PairingList:
        """List who waits to be let in, and who was."""
        waiting = tuple(self._request(one) for one in self._desk.waiting(self._around.wall()))
        approved = tuple(Paired(one.channel, one.sender_id, instant(one.approved_at)) for one in self._desk.approved())
        return PairingList(waiting, approved)

    def pairing_approve(self, code: str) -> Deferred[PairingDecision]:
        """
        Let somebody in.

        @return: fires when that is on disk.
        @raise NotFound: nobody waits with this code.
        """
        approved = self._desk.approve(code, self._around.wall())
        if approved is None:
            raise NotFound("nobody waits with that code")
        self.log.info("{sender} may write to {channel} now", sender=approved.sender_id, channel=approved.channel)
        decision = PairingDecision(code, approved.channel, approved.sender_id, "approved")
        return self._pairings.save(self._desk.approved()).addCallback(lambda ignored: decision)

    def pairing_reject(self, code: str) -> PairingDecision:
        """
        Forget the request of somebody who waits.

        @raise NotFound: nobody waits with this code.
        """
        request = self._desk.reject(code, self._around.wall())
        if request is None:
            raise NotFound("nobody waits with that code")
        return PairingDecision(code, request.channel, request.sender_id, "rejected")

    def pairing_revoke(self, channel: str, sender_id: str) -> Deferred[PairingRevoked]:
        """
        Let somebody in no longer; who stands on the allow list of the settings still is.

        @return: fires when that is on disk.
        """
        revoked = self._desk.shut_out(channel, sender_id)
        return self._pairings.save(self._desk.approved()).addCallback(lambda ignored: PairingRevoked(revoked))

    # --- for channels ----------------------------------------------------------

    def _take(self, message: InboundMessage, allowed: bool) -> Received:
        """A channel has a message."""
        verdict = self._intake.receive(message, allowed=allowed, now=self._around.wall())
        if verdict.told is not None:
            self._tell(message, verdict.told)
        if verdict.received is Received.ACCEPTED:
            self._dispatcher.wake()
        return verdict.received

    def _tell(self, message: InboundMessage, request: Request) -> None:
        """Tell a stranger his code."""
        code = f"{request.code[:4]}-{request.code[4:]}"
        text = _CODE.format(code=code, minutes=round(self._limits.pairing_lifetime / 60))
        name = f"pairing:{request.code}:{self._around.wall():.0f}"
        note = OutboundMessage(channel=message.channel, chat_id=message.chat_id, content=text, id=name)
        self.deliver(note).addErrback(
            lambda failure: self.log.error("{channel}: a stranger was not told his code", channel=message.channel)
        )

    def _account(self, plan: ChannelPlan, means: Means, around: Surroundings) -> Account:
        file = OutboxFile(
            os.path.join(means.folder, f"{plan.name}.outbox.jsonl"), means.journal, around.wall, self._limits
        )
        worker = OutboundWorker(plan.name, Outbox(self._limits, around.jitter), file, around.clock, self._limits)
        try:
            worker.load()
        except OSError as error:
            raise SettingsError(f"the outbox of channel {plan.name} cannot be read: {error.strerror}") from None
        access = AllowList(plan.allow, self._desk.paired(plan.name))
        return Account(plan.name, plan.make, worker=worker, allows=access.is_allowed, around=around)

    @staticmethod
    def _info(account: Account) -> ChannelInfo:
        return ChannelInfo(
            account.name,
            account.state.value,
            account.reason,
            since=instant(account.since),
            queued=account.worker.queued,
        )

    def _request(self, one: Request) -> PairingRequest:
        expires = one.asked_at + self._limits.pairing_lifetime
        return PairingRequest(one.code, one.channel, one.sender_id, instant(one.asked_at), instant(expires))
