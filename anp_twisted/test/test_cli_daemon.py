"""Rules of L{anp_twisted.cli.daemon}."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.cli.daemon import Daemon
from anp_twisted.cli.invocation import Invocation
from anp_twisted.errors import SettingsError

OURS = os.getpid()


class DaemonTests(SynchronousTestCase):
    """A daemon that is this process, as far as anybody can see."""

    def setUp(self) -> None:
        """It runs, and its time goes by when somebody waits."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pidfile = folder / "x.pid"
        self.log = folder / "x.log"
        self.pidfile.write_text(f"{OURS}\n")
        self.said: list[str] = []
        self.killed: list[int] = []
        self.now = 0.0
        self.alive = True
        self.ends_at: float | None = 3.0
        self.patch(Daemon, "_lives", lambda daemon, number: self.alive and number == OURS)

    def daemon(self, **more: object) -> Daemon:
        """Make what knows it."""
        service = ("anp-gateway", f"--log-file={self.log}", "--drain=5")
        asked = Invocation("stop", "gateway", service, str(self.pidfile), **more)  # type: ignore[arg-type]
        return Daemon(asked, kill=self.kill, sleep=self.sleep, clock=lambda: self.now, write=self.said.append)

    def kill(self, number: int, what: int) -> None:
        """Take a signal."""
        self.assertEqual(number, OURS)
        self.killed.append(what)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        if self.ends_at is not None and self.killed and self.now >= self.ends_at:
            self.alive = False

    def test_status(self) -> None:
        """Whether it runs; without a file, or with the number of another process, it does not."""
        self.assertEqual((self.daemon().status(), self.said), (0, [f"anp-gateway runs as process {OURS}\n"]))
        self.alive = False
        self.assertEqual(self.daemon().status(), 3)
        self.pidfile.unlink()
        self.assertEqual(self.daemon().status(), 3)
        for wrong in ("", "x", "1", "-5", "99999999999"):
            self.pidfile.write_text(wrong)
            self.assertRaises(SettingsError, self.daemon().status)

    def test_stop(self) -> None:
        """It is asked once, and waited for."""
        self.assertEqual(self.daemon().stop(), 0)
        self.assertEqual((self.killed, self.said), ([signal.SIGTERM], ["anp-gateway has ended\n"]))
        self.assertGreaterEqual(self.now, 3.0)
        self.assertEqual(self.daemon().stop(), 0)
        self.assertEqual(self.killed, [signal.SIGTERM])

    def test_does_not_stop(self) -> None:
        """It gets the time that its settings give it and some more, then the operator hears of it."""
        self.ends_at = None
        self.assertIn("does not end", str(self.assertRaises(SettingsError, self.daemon().stop)))
        self.assertGreaterEqual(self.now, 5.0)
        self.assertEqual(self.killed, [signal.SIGTERM])

    def test_start(self) -> None:
        """A second one is not started; what a killed one left behind is no hindrance."""
        self.assertRaises(SettingsError, self.daemon().check_stopped)
        self.alive = False
        self.daemon().check_stopped()
        self.assertFalse(self.pidfile.exists())
        self.daemon().check_stopped()

    def test_reload(self) -> None:
        """It gets the signal, if it runs."""
        self.assertEqual(self.daemon().reload(), 0)
        self.assertEqual(self.killed, [signal.SIGHUP])
        self.alive = False
        self.assertRaises(SettingsError, self.daemon().reload)

    def test_logs(self) -> None:
        """The last lines of the log that its settings name."""
        self.assertIn("cannot read the log", str(self.assertRaises(SettingsError, self.daemon().logs)))
        self.log.write_text("".join(f"{number}\n" for number in range(10)))
        self.daemon(lines=3).logs()
        self.assertEqual(self.said, ["7\n", "8\n", "9\n"])
        self.daemon(lines=0).logs()
        self.assertEqual(len(self.said), 3)

    def test_follow(self) -> None:
        """What comes is shown too, also in the file that comes next, until somebody interrupts."""
        self.log.write_text("a\n")
        steps = iter([self.append, self.rotate, lambda: None, self.interrupt])
        self.patch(self, "sleep", lambda seconds: next(steps)())
        self.daemon(follow=True).logs()
        self.assertEqual(self.said, ["a\n", "b\n", "c\n"])

    def append(self) -> None:
        """A line comes."""
        with self.log.open("a") as file:
            file.write("b\n")

    def rotate(self) -> None:
        """The log is rotated."""
        self.log.rename(self.log.with_suffix(".1"))
        self.log.write_text("c\n")

    def interrupt(self) -> None:
        """Somebody has seen enough."""
        raise KeyboardInterrupt


class WhoTests(SynchronousTestCase):
    """Whose a process is."""

    def lives(self, number: int) -> bool:
        """Ask the system."""
        return Daemon(Invocation("status", "gateway", ("anp-gateway",), "x"))._lives(number)

    def test_another(self) -> None:
        """A number that belongs to another program, or to none, is not ours."""
        self.assertFalse(self.lives(2**22 + 1))
        if os.path.exists("/proc/self/cmdline"):
            self.assertFalse(
                self.lives(os.getppid()) and b"anp" not in Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
            )

    def test_foreign(self) -> None:
        """One that we may not signal is told of."""

        def refuse(number: int, what: int) -> None:
            raise PermissionError

        daemon = Daemon(Invocation("status", "gateway", ("anp-gateway",), "x"), kill=refuse)
        self.assertRaises(SettingsError, daemon._lives, 4711)
