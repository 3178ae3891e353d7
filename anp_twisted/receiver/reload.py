"""
Watches the files of an application and tells when they change.

The watching itself is done by watchfiles, which asks the operating system and
does not have to look at each file again and again. It blocks, so it has a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from threading import Event
from typing import Any

from twisted.application.service import Service
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import SettingsError

Watch = Callable[[tuple[str, ...], Event], Iterable[set[str]]]
"""Gives the paths of each round of changes until the event is set; blocks in between."""

_SHOWN = 3
"""Paths that are named in one line of the log."""


def watch_python_files(folders: tuple[str, ...], stop: Event) -> Iterable[set[str]]:
    """
    A L{Watch} of C{*.py}; folders of version control, virtual environments and the like are left out.

    @raise ImportError: watchfiles is not installed.
    """
    watchfiles = import_module("watchfiles")
    python = watchfiles.PythonFilter()
    rounds = watchfiles.watch(*folders, watch_filter=python, stop_event=stop, raise_interrupt=False)
    for changes in rounds:
        yield {path for _, path in changes}


def watched_folders(folders: tuple[str, ...], current: str) -> tuple[str, ...]:
    """
    Find out what to watch.

    @param folders: what the operator named.
    @param current: what is watched otherwise.
    @raise SettingsError: if that cannot be.
    """
    if find_spec("watchfiles") is None:
        raise SettingsError("--reload needs the package watchfiles: pip install 'anp-twisted[reload]'")
    for folder in folders:
        if not os.path.isdir(folder):
            raise SettingsError(f"--reload-dir {folder} is no folder")
    return tuple(os.path.abspath(folder) for folder in folders) or (current,)


class ReloadWatch(Service):
    """Calls something each time files have changed, once for what changed together."""

    log = Logger()

    def __init__(
        self, reactor: Any, folders: tuple[str, ...], changed: Callable[[], None], watch: Watch = watch_python_files
    ) -> None:
        """
        @param reactor: has the thread.
        @param changed: is called in the thread of the reactor.
        """
        self._reactor = reactor
        self._folders = folders
        self._changed = changed
        self._watch = watch
        self._stop = Event()

    def startService(self) -> None:
        """Begin to watch."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stop = Event()
        self.log.info("watching {folders} for changes", folders=" ".join(self._folders))
        pool = self._reactor.getThreadPool()
        deferToThreadPool(self._reactor, pool, self._run, self._stop).addErrback(self._broken)

    def stopService(self) -> None:
        """Watch no longer; the thread ends by itself."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._stop.set()

    def _run(self, stop: Event) -> None:
        """Watch, in the thread."""
        for paths in self._watch(self._folders, stop):
            self._reactor.callFromThread(self._tell, paths)

    def _tell(self, paths: set[str]) -> None:
        """Say what changed and pass it on."""
        if self._stop.is_set():
            return
        names = sorted(os.path.relpath(path, self._folders[0]) for path in paths)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        self.log.info("changed: {names}{more}", names=", ".join(names[:_SHOWN]), more=more)
        self._changed()

    def _broken(self, reason: Failure) -> None:
        """Nothing watches any more; what runs goes on."""
        self.log.error("files are not watched any more: {reason}", reason=reason.getErrorMessage())
