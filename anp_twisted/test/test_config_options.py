"""Rules of L{anp_twisted.config.options}."""

from __future__ import annotations

import io
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import __version__
from anp_twisted.config import options as module
from anp_twisted.config.options import SettingsOptions
from anp_twisted.config.resolve import Source
from anp_twisted.config.schema import settings_of
from anp_twisted.config.tables import GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError


class GatewayOptions(SettingsOptions[GatewaySettings]):
    """As a tap has them."""

    command = "anp-gateway"
    settings_class = GatewaySettings


class ReceiverOptions(SettingsOptions[ReceiverSettings]):
    """With a flag and a repeatable option."""

    command = "anp-receiver"
    settings_class = ReceiverSettings


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def parse(self, cls: Any, *arguments: str, **environment: str) -> Any:
        options = cls(environment)
        options.parseOptions(list(arguments))
        return options

    def refused(self, *arguments: str, **environment: str) -> str:
        with self.assertRaises(SystemExit) as caught:
            self.parse(GatewayOptions, *arguments, **environment)
        text = str(caught.exception.code)
        self.assertNotIn("\n", text)
        self.assertTrue(text.startswith("anp-gateway: "), text)
        return text

    def test_values(self) -> None:
        """Both spellings of an option with value, a flag, and repetition."""
        arguments = ("--app=m:app", "--path", "/a", "--path=/b", "--insecure")
        settings = self.parse(ReceiverOptions, *arguments).settings
        self.assertEqual((settings.app, settings.path, settings.insecure), (("m:app",), ("/a", "/b"), True))

    def test_mapping(self) -> None:
        """The options are the mapping that Twisted expects, without the token."""
        options = self.parse(GatewayOptions, "--port", "1", ANP_TOKEN="geheim")
        self.assertEqual((options["port"], options["log-level"]), (1, "info"))
        self.assertNotIn("geheim", repr(dict(options)))
        self.assertIs(options.source("port"), Source.OPTION)
        self.assertIs(options.source("token"), Source.ENVIRONMENT)

    def test_valueThatLooksLikeAnOption(self) -> None:
        """What follows an option is its value, whatever it is."""
        self.assertEqual(self.parse(GatewayOptions, "--state-dir", "--port").settings.state_dir, "--port")

    def test_unknown(self) -> None:
        """An unknown option is named, and so is the nearest one."""
        self.assertIn("'--prot'; did you mean '--port'?", self.refused("--prot", "1"))

    def test_noAbbreviation(self) -> None:
        """The beginning of an option is not the option."""
        self.assertIn("unknown option '--por'", self.refused("--por", "1"))

    def test_tokenByArgument(self) -> None:
        """A secret on the command line is refused, and not repeated."""
        for arguments in (("--token", "geheim"), ("--token=geheim",), ("geheim",)):
            self.assertNotIn("geheim", self.refused(*arguments))
        self.assertIn("--token-file", self.refused("--token", "geheim"))

    def test_malformed(self) -> None:
        """Values that are missing or too many, and what is no option."""
        self.assertIn("--port needs a value", self.refused("--port"))
        self.assertIn("belongs to no option", self.refused("9877"))
        self.assertIn("belongs to no option", self.refused("-p", "1"))
        with self.assertRaises(SystemExit) as caught:
            self.parse(ReceiverOptions, "--insecure=yes")
        self.assertIn("takes no value", str(caught.exception.code))

    def test_environmentAndFile(self) -> None:
        """C{--config} and C{ANP_CONFIG} name the file; the option goes first."""
        one, two = self.mktemp(), self.mktemp()
        for path, port in ((one, 1), (two, 2)):
            with open(path, "w") as file:
                file.write(f"port = {port}\n")
        self.assertEqual(self.parse(GatewayOptions, ANP_CONFIG=one).settings.port, 1)
        self.assertEqual(self.parse(GatewayOptions, "--config", two, ANP_CONFIG=one).settings.port, 2)
        self.assertIn("No such file", self.refused("--config", self.mktemp()))

    def test_help(self) -> None:
        """Help names every option, its default and its variable, but no option for the token and for tables."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        with self.assertRaises(SystemExit) as caught:
            self.parse(GatewayOptions, "--help")
        self.assertIn(caught.exception.code, (0, None))
        text = " ".join(out.getvalue().split())
        for row in settings_of(GatewaySettings).values():
            if row.name in ("token", "routes"):
                self.assertNotIn(f"--{row.name}=", text)
            else:
                self.assertIn(f"--{row.option}", text)
                self.assertIn(row.variable, text.replace("- ", "-"))

    def test_version(self) -> None:
        """The version is ours, not Twisted's."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.assertRaises(SystemExit, self.parse, GatewayOptions, "--version")
        self.assertEqual(out.getvalue(), f"anp-gateway {__version__}\n")

    def test_wrongReactor(self) -> None:
        """A reactor that cannot be used ends the process with one line."""

        def refuse() -> None:
            raise SettingsError("wrong reactor")

        self.patch(module, "install_reactor", refuse)
        with self.assertRaises(SystemExit) as caught:
            GatewayOptions({})
        self.assertEqual(caught.exception.code, "anp-gateway: wrong reactor")

    def test_pidFile(self) -> None:
        """Each command has a pid file of its own name, so that two can run in one folder; another one is obeyed."""
        for given, expected in (("twistd.pid", "anp-gateway.pid"), ("mine.pid", "mine.pid"), ("", "")):
            options = GatewayOptions({})
            twistd: Any = {"pidfile": given}
            options.parent = twistd
            options.parseOptions([])
            self.assertEqual(twistd["pidfile"], expected)
