"""Tests of L{anp_twisted.reloading}."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.errors import SettingsError
from anp_twisted.reloading import Commit, Reloader, reload_on_hangup


class Part:
    """
    Keeps what it was told.

    @ivar value: the settings in effect.
    """

    def __init__(self, complaint: str = "", later: Deferred[Commit] | None = None) -> None:
        self.value = "old"
        self.complaint = complaint
        self.later = later
        self.prepared: list[str] = []

    def prepare(self, settings: str) -> Commit | Deferred[Commit]:
        """Prepare at once, later or not at all."""
        self.prepared.append(settings)
        if self.complaint:
            raise SettingsError(self.complaint)

        def commit() -> None:
            self.value = settings

        return commit if self.later is None else self.later.addCallback(lambda _: commit)


@implementer(ILogObserver)
class Errors:
    """Keeps what is logged for the operator."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        """Take an event."""
        if "error" in event:
            self.kept.append(str(event["error"]))


class Wrong(Part):
    """Fails at one version of the settings, as nothing should."""

    def __init__(self, version: str, *, early: bool) -> None:
        super().__init__()
        self.version = version
        self.early = early

    def prepare(self, settings: str) -> Commit | Deferred[Commit]:
        """Fail now, or later."""
        if settings != self.version:
            return super().prepare(settings)
        if self.early:
            raise KeyError(settings)
        return self.fail

    def fail(self) -> None:
        """Fail."""
        raise KeyError(self.version)


class ReloaderTests(SynchronousTestCase):
    """All or nothing."""

    def setUp(self) -> None:
        """Read from a list."""
        self.versions = ["one", "two", "three"]
        self.reloader: Reloader[str] = Reloader(self.read)
        self.errors = Errors()
        globalLogPublisher.addObserver(self.errors)
        self.addCleanup(globalLogPublisher.removeObserver, self.errors)

    def read(self) -> str:
        """Read the next version."""
        return self.versions.pop(0)

    def add(self, *parts: Part) -> None:
        """Add parts."""
        for part in parts:
            self.reloader.add(part)

    def test_all(self) -> None:
        """Every part goes over."""
        parts = [Part(), Part()]
        self.add(*parts)
        self.reloader.reload()
        self.assertEqual([part.value for part in parts], ["one", "one"])
        self.assertEqual((self.reloader.reloads, self.reloader.refused), (1, 0))

    def test_none(self) -> None:
        """When one part cannot, none does, and the reason is told."""
        parts = [Part(), Part("no such file"), Part()]
        self.add(*parts)
        self.reloader.reload()
        self.assertEqual([part.value for part in parts], ["old"] * 3)
        self.assertEqual((self.reloader.reloads, self.reloader.refused), (0, 1))
        self.assertEqual(self.errors.kept, ["no such file"])

    def test_unreadable(self) -> None:
        """Settings that cannot be read reach no part."""
        part = Part()

        def read() -> str:
            raise SettingsError("anp.toml is not TOML")

        reloader: Reloader[str] = Reloader(read)
        reloader.add(part)
        reloader.reload()
        self.assertEqual((part.prepared, reloader.refused), ([], 1))
        self.assertEqual(self.errors.kept, ["anp.toml is not TOML"])

    def test_later(self) -> None:
        """Who is quick waits for who is not."""
        slow: Deferred[Commit] = Deferred()
        quick, late = Part(), Part(later=slow)
        self.add(quick, late)
        self.reloader.reload()
        self.assertEqual((quick.value, late.value), ("old", "old"))
        slow.callback(lambda: None)
        self.assertEqual((quick.value, late.value), ("one", "one"))

    def test_late_refusal(self) -> None:
        """Also where the refusal comes late."""
        slow: Deferred[Commit] = Deferred()
        quick, late = Part(), Part(later=slow)
        self.add(quick, late)
        self.reloader.reload()
        slow.errback(SettingsError("the database is away"))
        self.assertEqual((quick.value, late.value), ("old", "old"))
        self.assertEqual(self.errors.kept, ["the database is away"])

    def test_meanwhile(self) -> None:
        """However often it is asked for meanwhile, there is one more, with what is there by then."""
        slow: Deferred[Commit] = Deferred()
        part, late = Part(), Part(later=slow)
        self.add(part, late)
        self.reloader.reload()
        self.reloader.reload()
        self.reloader.reload()
        self.assertEqual(part.prepared, ["one"])
        late.later = None
        slow.callback(lambda: None)
        self.assertEqual((part.prepared, part.value), (["one", "two"], "two"))

    def test_a_mistake(self) -> None:
        """A part that fails in a way it should not changes nothing, and the next reload works."""
        part = Part()
        self.add(part, Wrong("one", early=True))
        self.reloader.reload()
        self.assertEqual(part.value, "old")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.reloader.reload()
        self.assertEqual(part.value, "two")

    def test_half_done(self) -> None:
        """A part that fails to go over is told of, and the next reload works."""
        part = Part()
        self.add(Wrong("one", early=False), part)
        self.reloader.reload()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.reloader.reloads, 0)
        self.reloader.reload()
        self.assertEqual(part.value, "two")


class HangupTests(SynchronousTestCase):
    """SIGHUP."""

    def test_signal(self) -> None:
        """It is taken when the reactor runs, and acted on between two of its steps."""
        actions: dict[int, Any] = {}
        later: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        soon: list[Callable[[], object]] = []
        done: list[str] = []

        class FakeReactor:
            """Runs nothing by itself."""

            def callWhenRunning(self, function: Callable[..., object], *arguments: Any) -> None:
                later.append((function, arguments))

            def callFromThread(self, function: Callable[[], object]) -> None:
                soon.append(function)

        reload_on_hangup(FakeReactor(), lambda: done.append("x"), actions.__setitem__)
        self.assertEqual(actions, {})
        for function, arguments in later:
            function(*arguments)
        actions[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(done, [])
        for call in soon:
            call()
        self.assertEqual(done, ["x"])
