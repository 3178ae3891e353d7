"""Tests of L{anp_twisted.receiver.reload}."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.errors import SettingsError
from anp_twisted.receiver import reload
from anp_twisted.receiver.reload import ReloadWatch, watch_python_files, watched_folders


class HereAndNow(ThreadPool):
    """A pool whose work is done before it returns."""

    def __init__(self) -> None: ...

    def callInThreadWithCallback(self, onResult: Any, func: Any, *args: Any, **kw: Any) -> None:
        done: Deferred[Any] = maybeDeferred(func, *args, **kw)
        done.addCallbacks(lambda result: onResult(True, result), lambda failure: onResult(False, failure))


class Reactor(Clock):
    """A reactor without threads."""

    def getThreadPool(self) -> ThreadPool:
        return HereAndNow()

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        self.callLater(0, function, *arguments)


@implementer(ILogObserver)
class Lines(list[str]):
    """What the watch logs."""

    def __call__(self, event: LogEvent) -> None:
        if "reload" in str(event.get("log_namespace")):
            self.append(formatEvent(event))


class ReloadWatchTests(SynchronousTestCase):
    """From changes to calls."""

    def setUp(self) -> None:
        self.lines = Lines()
        globalLogPublisher.addObserver(self.lines)
        self.addCleanup(globalLogPublisher.removeObserver, self.lines)
        self.clock = Reactor()
        self.calls = 0

    def called(self) -> None:
        self.calls += 1

    def watch(self, *rounds: set[str] | Exception) -> ReloadWatch:
        def watching(folders: tuple[str, ...], stop: Event) -> Iterable[set[str]]:
            self.assertEqual(folders, ("/a",))
            for one in rounds:
                if isinstance(one, Exception):
                    raise one
                yield one

        return ReloadWatch(self.clock, ("/a",), self.called, watching)

    def test_one_call_a_round(self) -> None:
        """What changes together is one call, and named in one line."""
        self.watch({"/a/b.py", "/a/c/d.py"}, {f"/a/{n}.py" for n in range(9)}).startService()
        self.clock.advance(0)
        self.assertEqual(self.calls, 2)
        self.assertIn(f"changed: b.py, c{os.sep}d.py", self.lines)
        self.assertIn("changed: 0.py, 1.py, 2.py and 6 more", self.lines)

    def test_stopped(self) -> None:
        """A change that is told late, when it is to stop, is none."""
        watch = self.watch({"/a/b.py"})
        watch.startService()
        watch.stopService()
        self.clock.advance(0)
        self.assertEqual(self.calls, 0)

    def test_broken(self) -> None:
        """When watching fails, that is said, and nothing else happens."""
        self.watch(OSError("no more watches")).startService()
        self.clock.advance(0)
        self.assertEqual((self.calls, self.lines[-1]), (0, "files are not watched any more: no more watches"))


class FolderTests(SynchronousTestCase):
    """What is watched."""

    def test_folders(self) -> None:
        """The current one, or those that are named, which have to be there."""
        here = os.path.abspath(self.mktemp())
        os.makedirs(here)
        self.assertEqual(watched_folders((), "/current"), ("/current",))
        self.assertEqual(watched_folders((os.path.relpath(here),), "/current"), (here,))
        error = self.assertRaises(SettingsError, watched_folders, (here + "x",), "/current")
        self.assertIn("--reload-dir", str(error))

    def test_not_installed(self) -> None:
        """Without the library the operator is told what to install."""
        self.patch(reload, "find_spec", lambda name: None)
        self.assertIn("anp-twisted[reload]", str(self.assertRaises(SettingsError, watched_folders, (), "/")))

    def test_the_library(self) -> None:
        """The library is asked for Python files, and ends when it is told to before it begins."""
        folder = Path(self.mktemp())
        folder.mkdir()
        stop = Event()
        stop.set()
        self.assertEqual(list(watch_python_files((str(folder.absolute()),), stop)), [])

    if importlib.util.find_spec("watchfiles") is None:
        test_the_library.skip = "watchfiles is not installed"  # type: ignore[attr-defined]
