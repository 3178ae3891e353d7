"""
New settings for a process that runs, all of them or none.

A process has parts that can take new settings: routes, tokens, certificates,
limits. A reload happens in two steps. First each part prepares: it reads and
checks whatever it needs and says how to go over to it. Only when all of them
can, all of them do. So a file with a mistake changes nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import ANPError
from anp_twisted.shutdown import SignalAction

S = TypeVar("S")
S_in = TypeVar("S_in", contravariant=True)

Commit = Callable[[], None]
"""Puts what was prepared into effect; it does not fail, and nothing happens between two of them."""


class Reloadable(Protocol[S_in]):
    """A part of a process that can take new settings."""

    def prepare(self, settings: S_in) -> Commit | Deferred[Commit]:
        """
        Read and check what the new settings lead to; change nothing.

        @param settings: all settings of the command.
        @return: what goes over to them, at once or later. It may never be called.
        @raise SettingsError: it cannot be done; the text is one line for the operator.
        """


class Activity(Enum):
    """
    What a reloader does.

    C{PREPARING}: the parts look at new settings. C{AGAIN}: the same, and another
    reload was asked for meanwhile.
    """

    IDLE = auto()
    PREPARING = auto()
    AGAIN = auto()


class Reloader(Generic[S]):
    """
    Reads the settings again and hands them to every part.

    @ivar reloads: how often new settings came into effect.
    @ivar refused: how often they did not.
    """

    log = Logger()

    def __init__(self, read: Callable[[], S]) -> None:
        """
        @param read: reads the settings from where they were read at the start;
            raises L{SettingsError}.
        """
        self.reloads = 0
        self.refused = 0
        self._read = read
        self._parts: list[Reloadable[S]] = []
        self._activity = Activity.IDLE

    def add(self, part: Reloadable[S]) -> None:
        """Let a part take new settings; parts go over in the order in which they were added."""
        self._parts.append(part)

    def reload(self) -> None:
        """Read the settings and go over to them; a second call meanwhile does the same once more afterwards."""
        if self._activity is not Activity.IDLE:
            self._activity = Activity.AGAIN
            return
        self._activity = Activity.PREPARING
        prepared = maybeDeferred(self._prepare)
        prepared.addCallbacks(self._commit, self._keep)
        prepared.addErrback(self._broken)
        prepared.addBoth(self._done)

    def _prepare(self) -> Deferred[list[Commit]]:
        settings = self._read()
        # All are asked, and waited for: one that is late must not go over to settings that another refused.
        waiting = [maybeDeferred(part.prepare, settings) for part in self._parts]
        return DeferredList(waiting, consumeErrors=True).addCallback(_all_of)

    def _commit(self, commits: list[Commit]) -> None:
        for commit in commits:
            commit()
        self.reloads += 1
        self.log.info("the settings were read again and are in effect")

    def _keep(self, reason: Failure) -> None:
        """Stay with what is in effect, and say why."""
        self.refused += 1
        error = reason.value
        if isinstance(error, ANPError):
            self.log.error("the old settings stay in effect: {error}", error=error)
        else:
            self.log.failure("the old settings stay in effect", reason)

    def _broken(self, reason: Failure) -> None:
        # boundary: a part that failed to go over broke its promise; what it left is for the log to tell.
        self.log.failure("new settings are in effect only in part", reason)

    def _done(self, _: object) -> None:
        again, self._activity = self._activity is Activity.AGAIN, Activity.IDLE
        if again:
            self.reload()


def _all_of(results: list[tuple[bool, Any]]) -> list[Commit]:
    """
    @raise SettingsError: what the first part that could not prepare said.
    """
    for good, result in results:
        if not good:
            result.raiseException()
    return [result for _, result in results]


def reload_on_hangup(
    reactor: Any,
    reload: Callable[[], object],
    set_action: Callable[[int, SignalAction], Any] = signal.signal,
) -> None:
    """
    Reload at each SIGHUP, as soon as the reactor runs.

    @param reactor: provides C{callFromThread} and C{callWhenRunning}.
    @param set_action: C{signal.signal}, or its stand-in.
    """
    action: SignalAction = lambda number, frame: reactor.callFromThread(reload)  # noqa: E731
    reactor.callWhenRunning(set_action, signal.SIGHUP, action)
