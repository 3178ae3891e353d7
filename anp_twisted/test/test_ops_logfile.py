"""Rules of L{anp_twisted.ops.logfile}."""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import Any

from twisted.application.service import Application, IServiceCollection, MultiService
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.access import AccessRecord
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import SettingsError
from anp_twisted.ops import excepthook
from anp_twisted.ops.logfile import FirstLine, LoggedService, OperatorLog, operator_log

RECORD = AccessRecord(0.0, "r", "c", "GET", "/", 200, 1, 2, 0.5, "one", "app")


def record(log: OperatorLog) -> None:
    """Log one request, if that is wanted."""
    if log.recorder is not None:
        log.recorder(RECORD)


class GatewayOptions(SettingsOptions[GatewaySettings]):
    """As a tap has them."""

    command = "anp-gateway"
    settings_class = GatewaySettings


class FirstLineTests(SynchronousTestCase):
    """Standard output's one line."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)

    def test_line(self) -> None:
        """The URL alone, then the end; what is called standard output by then does not matter."""
        first = FirstLine(self.writer)
        os.close(self.writer)
        first.announce("http://h:1/\n\x1b")
        first.announce("http://h:2/")
        self.assertEqual(os.read(self.reader, 100), b"http://h:1/\\n\\x1b\n")
        self.assertEqual(os.read(self.reader, 100), b"")

    def test_readerGone(self) -> None:
        """A reader that left is no error, nor is a closed standard output."""
        reader, writer = os.pipe()
        first = FirstLine(writer)
        os.close(reader)
        os.close(writer)
        first.announce("http://h:1/")
        FirstLine(writer).announce("http://h:1/")
        os.close(self.writer)


class OperatorLogTests(SynchronousTestCase):
    """Where the log goes."""

    def setUp(self) -> None:
        self.patch(excepthook, "install", lambda command: None)
        self.stderr, self.stdout = io.StringIO(), io.StringIO()
        self.patch(sys, "stderr", self.stderr)
        self.patch(sys, "stdout", self.stdout)

    def open(self, *arguments: str, **twistd: Any) -> OperatorLog:
        options = GatewayOptions({})
        options.parseOptions(list(arguments))
        options.parent = {"nodaemon": True, **twistd}  # type: ignore[assignment]
        log = operator_log(options)
        if log.first._descriptor is not None:
            self.addCleanup(os.close, log.first._descriptor)
        return log

    def say(self, log: OperatorLog, level: LogLevel = LogLevel.info) -> None:
        assert log.observer is not None
        log.observer({"log_time": 0.0, "log_level": level, "log_format": "hello", "log_namespace": "anp_twisted"})

    def test_stderr(self) -> None:
        """Without a file, standard error has both sorts of lines, standard output none."""
        log = self.open()
        self.say(log)
        record(log)
        first, second = self.stderr.getvalue().splitlines()
        self.assertIn("hello", first)
        self.assertTrue(second.startswith('{"time":"1970-'))
        self.assertEqual(self.stdout.getvalue(), "")

    def test_stdoutOnDemand(self) -> None:
        """C{twistd -n --logfile=-} is obeyed."""
        self.say(self.open(logfile="-"))
        self.assertIn("hello", self.stdout.getvalue())

    def test_file(self) -> None:
        """C{--log-file}, and C{twistd --logfile}, are files that others cannot read, and stay where they were named."""
        for number, arguments in enumerate((["--log-file"], None)):
            path = os.path.abspath(self.mktemp())
            log = self.open(*arguments, path) if arguments else self.open(logfile=path)
            self.say(log)
            record(log)
            with open(path) as file:
                self.assertEqual(len(file.readlines()), 2, number)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_rotation(self) -> None:
        """The file is rotated at the size that was set, and so many old ones are kept."""
        path = self.mktemp()
        os.mkdir(path)
        log = self.open("--log-file", os.path.join(path, "log"), "--log-file-size", "100", "--log-file-count", "2")
        for _ in range(10):
            record(log)
        self.assertEqual(sorted(os.listdir(path)), ["log", "log.1", "log.2"])

    def test_brokenRotation(self) -> None:
        """A rotation that fails half-way costs lines, not the log."""
        path = os.path.abspath(self.mktemp())
        log = self.open("--log-file", path, "--log-file-size", "100")
        rename = os.rename

        def fail(old: str, new: str) -> None:
            raise OSError(28, "No space left on device")

        for broken in (False, True, True, False):
            self.patch(os, "rename", fail if broken else rename)
            record(log)
        with open(path) as file:
            self.assertIn("2 log lines are missing here\n", file.readlines())

    def test_daemon(self) -> None:
        """A daemon logs to a file named after the command if nothing else is said, never to a standard stream."""
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        folder = self.mktemp()
        os.mkdir(folder)
        os.chdir(folder)
        self.say(self.open(nodaemon=False))
        self.assertEqual(os.listdir("."), [f"{GatewayOptions.command}.log"])
        self.assertRaises(SettingsError, self.open, nodaemon=False, logfile="-")

    def test_level(self) -> None:
        """Access lines are of level info; nobody makes one that is not wanted."""
        log = self.open("--log-level", "warn")
        self.assertIsNone(log.recorder)
        self.say(log)
        self.assertEqual(self.stderr.getvalue(), "")
        self.say(log, LogLevel.warn)
        self.assertIn("hello", self.stderr.getvalue())
        log.write("a line that a worker chose by its level")
        self.assertTrue(self.stderr.getvalue().endswith("\na line that a worker chose by its level\n"))

    def test_twistdsOwn(self) -> None:
        """With C{twistd --logger} or C{--syslog} the events, access lines too, go there."""
        for twistd in ({"logger": lambda: None}, {"syslog": True}):
            log = self.open(**twistd)
            self.assertIsNone(log.observer)
            seen: list[LogEvent] = []
            observer: Any = seen.append
            globalLogPublisher.addObserver(observer)
            self.addCleanup(globalLogPublisher.removeObserver, observer)
            record(log)
            self.assertEqual(seen[-1]["log_namespace"], "anp_twisted.access")
            log.write("of a worker")
            self.assertEqual((seen[-1]["log_namespace"], seen[-1]["line"]), ("anp_twisted.worker", "of a worker"))

    def test_contradictions(self) -> None:
        """What would be ignored is refused."""
        for arguments, twistd in (
            (["--log-file", "a"], {"logfile": "b"}),
            (["--log-file", "a"], {"syslog": True}),
            (["--log-level", "warn"], {"logger": lambda: None}),
            (["--log-file", os.path.join(self.mktemp(), "nowhere")], {}),
        ):
            self.assertRaises(SettingsError, self.open, *arguments, **twistd)


class ServiceTests(SynchronousTestCase):
    """The observer reaches the application."""

    def test_application(self) -> None:
        """The application has it as its component, as twistd looks for it."""

        def observer(event: Any) -> None:
            pass

        log = OperatorLog(observer, lambda line: None, FirstLine(-1))  # type: ignore[arg-type]
        application = Application("x")
        service = LoggedService(log)
        service.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
        self.assertEqual(list(IServiceCollection(application)), [service])

    def test_otherParents(self) -> None:
        """A service in a service, or without an observer, is like any other."""
        log = OperatorLog(None, lambda line: None, FirstLine(-1))
        application = Application("x")
        LoggedService(log).setServiceParent(application)
        self.assertIsNone(application.getComponent(ILogObserver, None))
        parent = MultiService()
        LoggedService(OperatorLog(print, print, FirstLine(-1))).setServiceParent(parent)  # type: ignore[arg-type]
        self.assertEqual(len(list(parent)), 1)
