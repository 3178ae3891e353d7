"""
A daemon that C{twistd} has started: who it is, by its pid file, and what may be said to it.

The pid file is C{twistd}'s. A number in it may belong to another program by now,
so that where the system can say what a process is, it is asked.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from anp_twisted.cli.invocation import Invocation
from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.document import read_document
from anp_twisted.config.resolve import resolve
from anp_twisted.config.tables import COMMANDS
from anp_twisted.errors import SettingsError

_LOOK: Final = 0.05
_MARGIN: Final = 15.0
"""Seconds beyond the time to drain: for the application to shut down."""

_NOT_RUNNING: Final = 3
"""What C{status} returns for a service that is not there, as the Linux Standard Base says."""


class Daemon:
    """One daemon."""

    def __init__(
        self,
        asked: Invocation,
        *,
        kill: Callable[[int, int], None] = os.kill,
        sleep: Callable[[float], None] = time.sleep,  # noqa: TID251 - no reactor runs here
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] | None = None,
    ) -> None:
        """
        @param kill: C{os.kill}, or its stand-in.
        @param write: takes what the operator is to read; standard output does by default.
        """
        self._asked = asked
        self._kill = kill
        self._sleep = sleep
        self._clock = clock
        self._write = write or sys.stdout.write

    # --- who it is --------------------------------------------------------

    def pid(self) -> int | None:
        """
        @return: its process id, C{None} if it does not run.
        @raise SettingsError: the pid file cannot be read, or holds no number.
        """
        path = self._asked.pidfile
        try:
            text = Path(path).read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from None
        if not text.isdigit() or len(text) > 9 or int(text) < 2:
            raise SettingsError(f"{path} is no pid file")
        return int(text) if self._lives(int(text)) else None

    def _lives(self, number: int) -> bool:
        """Whether a process is there, and is ours as far as that can be known."""
        try:
            self._kill(number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            raise SettingsError(f"process {number} belongs to somebody else") from None
        try:
            command = Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            return True
        return b"anp-" in command or b"anp_twisted" in command

    # --- what may be asked -------------------------------------------------

    def check_stopped(self) -> None:
        """
        Make way for a new one: the pid file of one that did not end well is removed.

        @raise SettingsError: it runs.
        """
        number = self.pid()
        if number is not None:
            raise SettingsError(f"anp-{self._asked.mode} runs already, as process {number}")
        # twistd would take a number that belongs to somebody else, or to nobody any more, for a running daemon.
        Path(self._asked.pidfile).unlink(missing_ok=True)

    def stop(self) -> int:
        """
        Ask it to end, and wait until it has.

        @return: 0.
        @raise SettingsError: it does not end.
        """
        number = self.pid()
        if number is None:
            self._write(f"anp-{self._asked.mode} does not run\n")
            return 0
        deadline = self._clock() + self._settings().drain + _MARGIN
        self._kill(number, signal.SIGTERM)
        while self.pid() == number:
            if self._clock() > deadline:
                raise SettingsError(f"process {number} does not end; kill it with: kill -9 {number}")
            self._sleep(_LOOK)
        self._write(f"anp-{self._asked.mode} has ended\n")
        return 0

    def status(self) -> int:
        """
        Say whether it runs.

        @return: 0 if it does, else 3.
        """
        number = self.pid()
        if number is None:
            self._write(f"anp-{self._asked.mode} does not run\n")
            return _NOT_RUNNING
        self._write(f"anp-{self._asked.mode} runs as process {number}\n")
        return 0

    def reload(self) -> int:
        """
        Let it read its settings again; whether they are good stands in its log.

        @return: 0.
        @raise SettingsError: it does not run.
        """
        number = self.pid()
        if number is None:
            raise SettingsError(f"anp-{self._asked.mode} does not run")
        self._kill(number, signal.SIGHUP)
        return 0

    def logs(self) -> int:
        """
        Show the end of its log, and what comes, where that was asked for.

        @return: 0.
        @raise SettingsError: there is no log.
        """
        path = self._settings().log_file or f"anp-{self._asked.mode}.log"
        try:
            file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
        except OSError as error:
            raise SettingsError(f"cannot read the log {path}: {error.strerror}") from None
        with file:
            for line in deque(file, self._asked.lines) if self._asked.lines else ():
                self._write(line)
            if self._asked.follow:
                self._follow(file, path)
        return 0

    def _follow(self, file: IO[str], path: str) -> None:
        """Show lines as they come, over rotations, until somebody interrupts."""
        try:
            while True:
                line = file.readline()
                if line:
                    self._write(line)
                    continue
                sys.stdout.flush()
                self._sleep(_LOOK)
                if _rotated(file, path):
                    file.close()
                    file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in its turn
        except KeyboardInterrupt:
            return
        finally:
            file.close()

    def _settings(self) -> CommonSettings:
        """Read the settings as the daemon does."""
        given: dict[str, list[str]] = {}
        for option in self._asked.service[1:]:
            name, _, value = option.removeprefix("--").partition("=")
            given.setdefault(name, []).append(value or "true")
        path = given["config"][-1] if "config" in given else os.environ.get("ANP_CONFIG")
        document = read_document(path) if path else {}
        kind = COMMANDS[self._asked.mode]
        return resolve(kind, options=given, environment=os.environ, document=document, file=path or "").settings


def _rotated(file: IO[str], path: str) -> bool:
    """Whether the name belongs to another file by now."""
    try:
        return os.stat(path).st_ino != os.fstat(file.fileno()).st_ino
    except OSError:
        return False
