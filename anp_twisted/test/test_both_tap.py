"""Tests for L{anp_twisted.both.tap}."""

from __future__ import annotations

from anp_twisted.both import tap as both
from anp_twisted.config.tables import BothSettings
from anp_twisted.test.commandlab import CommandCase


class BothCommandTests(CommandCase):
    """C{twistd anp-both}."""

    def test_defaults(self) -> None:
        """This machine only, and no management port."""
        self.assertEqual(self.names(self.make(both)), ["127.0.0.1 port 9877"])

    def test_management(self) -> None:
        """The management port can be asked for."""
        service = self.make(both, "--port=1", "--management-port=2")
        self.assertEqual(self.names(service), ["127.0.0.1 port 1", "127.0.0.1 port 2"])

    def test_workers(self) -> None:
        """The workers get what concerns them, the gateway of this process and its token, and no proxy in between."""
        settings = BothSettings(
            app=("m:app",), path=("/a",), token_file="t", in_flight=7, workers=3, lifespan="on", drain=1.0, reload=True
        )
        made = both.worker_settings(settings, "http://192.0.2.1:5", "secret")
        self.assertEqual((made.gateway, made.insecure, made.proxy), (("ws://192.0.2.1:5/ws",), True, "off"))
        self.assertEqual((made.token, made.token_file, made.capacity), ("secret", None, 7))
        for name in ("app", "path", "workers", "lifespan", "drain", "reload", "log_level", "cancel_grace"):
            self.assertEqual(getattr(made, name), getattr(settings, name), name)

    def test_nothingImported(self) -> None:
        """With workers the application is theirs: this process does not import it."""
        self.assertEqual(self.names(self.make(both, "--workers=2", "--app=not_there:app")), ["127.0.0.1 port 9877"])

    def test_reloadDir(self) -> None:
        """A folder that is not there is said before anything listens."""
        self.assertIn("--reload-dir", self.refused(both, "--reload", "--reload-dir=not-there"))

    def test_refused(self) -> None:
        """An application that is not there is said before anything listens."""
        self.assertTrue(self.refused(both, "--app=not_there:app").startswith("anp-both: "))
