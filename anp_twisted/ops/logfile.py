"""
Where the log of a C{twistd} process goes, and its first line.

Standard output carries one line, the public URL, and nothing after it, so that
C{twistd -n anp-gateway | head -1} works. The log goes to standard error, or
to the file of C{--log-file} (or of C{twistd --logfile}), which is rotated. A
daemon has no standard error; its log is a file named after the command, C{anp-gateway.log}.

C{twistd} builds its own log observer unless the application brings one as its
C{ILogObserver} component, and it makes the application after the service:
L{LoggedService} hands the observer over when it is given its parent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.application.service import MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from anp_twisted.access import AccessRecord, format_line
from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.resolve import Source
from anp_twisted.errors import SettingsError
from anp_twisted.ops import excepthook
from anp_twisted.ops.lines import LineObserver, LineSink, LineStream, printable


class FirstLine:
    """
    The line on standard output.

    A copy of the descriptor is taken at once: when the URL is known,
    C{sys.stdout} has become a part of the log, and descriptor 1 of a daemon
    is C{/dev/null}.
    """

    def __init__(self, descriptor: int = 1) -> None:
        """
        @param descriptor: of the open standard output; a closed one is as good as none.
        """
        try:
            self._descriptor: int | None = os.dup(descriptor)
        except OSError:
            self._descriptor = None

    def announce(self, url: str) -> None:
        """
        Write the line and let go of standard output. Later calls do nothing.

        @param url: the public URL.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.write(descriptor, f"{printable(url)}\n".encode())
        except OSError:  # whoever read it has gone: nobody misses the line
            pass
        finally:
            os.close(descriptor)


def _drop(line: str) -> None:
    """Access lines are of level C{info}, and the operator wants less."""


@dataclass(frozen=True, slots=True)
class OperatorLog:
    """
    What a tap needs to speak to the operator.

    @ivar observer: for the application; C{None} leaves it to C{twistd}, which was told where to log.
    @ivar write_access: takes an access line.
    @ivar first: standard output's one line.
    @ivar write: takes lines that another process of ours has already made and chosen by their level.
    """

    observer: ILogObserver | None
    write_access: Callable[[str], None]
    first: FirstLine
    write: Callable[[str], None] = _drop

    @property
    def recorder(self) -> Callable[[AccessRecord], None] | None:
        """
        What logs one request, if the operator wants to know of them.
        """
        if self.write_access is _drop:
            return None
        write = self.write_access
        return lambda record: write(format_line(record))


class LoggedService(MultiService):
    """The top service of a tap: gives the application its log observer."""

    def __init__(self, log: OperatorLog) -> None:
        """
        @param log: where this process logs.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._log = log

    def setServiceParent(self, parent: Any) -> None:
        """
        @param parent: the application C{twistd} made, or another service.
        """
        if self._log.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log.observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]


def operator_log(options: SettingsOptions[Any]) -> OperatorLog:
    """
    Open the log of this process, and from now on end it with one line where it fails by an operator's mistake.

    To be called in C{makeService}, while the standard streams are still themselves.

    @param options: of the command; their parent are the options of C{twistd}.
    @return: the log.
    @raise SettingsError: the file cannot be opened, or C{twistd} and the settings contradict each other.
    """
    excepthook.install(options.command)
    settings: CommonSettings = options.settings
    twistd: Mapping[str, Any] = options.parent if options.parent is not None else {"nodaemon": True}
    first = FirstLine()
    if twistd.get("logger") or twistd.get("syslog"):
        _refuse_ignored(options.resolved.sources)
        return OperatorLog(None, _through_logger("access"), first, _through_logger("worker"))
    sink = _open_sink(settings, _path(settings, twistd, options.command), stdout=twistd.get("logfile") == "-")
    access_wanted = settings.log_level in ("debug", "info")
    access = sink.write if access_wanted else _drop
    return OperatorLog(LineObserver(sink, settings.log_level), access, first, sink.write)


def _refuse_ignored(sources: Mapping[str, Source]) -> None:
    for name in ("log_file", "log_level"):
        if sources.get(name, Source.DEFAULT) is not Source.DEFAULT:
            raise SettingsError(
                f"{name.replace('_', '-')} has no effect beside twistd --logger or --syslog: leave one out"
            )


def _through_logger(name: str) -> Callable[[str], None]:
    log = Logger(namespace=f"anp_twisted.{name}")
    return lambda line: log.info("{line}", line=line)


def _path(settings: CommonSettings, twistd: Mapping[str, Any], command: str) -> str | None:
    """
    @param command: a daemon's log is named after it.
    @return: the file to log to, or C{None} for a standard stream.
    """
    given = twistd.get("logfile")
    if given and settings.log_file:
        raise SettingsError("log-file and twistd --logfile contradict each other: give one of them")
    if given == "-":
        if not twistd.get("nodaemon"):
            raise SettingsError("a daemon has no standard output: twistd --logfile=- needs -n")
        return None
    default = None if twistd.get("nodaemon") else f"{command}.log"
    return settings.log_file or given or default


def _open_sink(settings: CommonSettings, path: str | None, *, stdout: bool) -> LineSink:
    if path is None:
        stream: LineStream = sys.stdout if stdout else sys.stderr
        return LineSink(stream, lambda same: same)
    # The daemon changes its folder later, and may have to open the file again.
    absolute = os.path.abspath(path)
    try:
        return LineSink(_rotating(absolute, settings), lambda broken: _reopened(broken, absolute, settings))
    except OSError as error:
        raise SettingsError(f"cannot write the log to {path}: {error.strerror}") from None


def _rotating(path: str, settings: CommonSettings) -> LogFile:
    # An existing file keeps its mode.
    mode = None if os.path.exists(path) else 0o640
    file: LogFile = LogFile.fromFullPath(
        path, rotateLength=settings.log_file_size, defaultMode=mode, maxRotatedFiles=settings.log_file_count
    )
    return file


def _reopened(broken: LineStream, path: str, settings: CommonSettings) -> LogFile:
    """The old file is closed even where the new one cannot be opened: a full disk must not cost descriptors too."""
    if isinstance(broken, LogFile) and not broken.closed:
        broken.close()
    return _rotating(path, settings)
