"""Rules of L{anp_twisted.config.resolve}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.resolve import Resolved, Source, option_names, resolve
from anp_twisted.config.schema import Places, settings_of
from anp_twisted.config.tables import COMMANDS, GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError


def gateway(
    options: Mapping[str, list[str]] | None = None,
    environment: Mapping[str, str] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Resolved[GatewaySettings]:
    """Resolve for a gateway, from what is given."""
    return resolve(
        GatewaySettings, options=options or {}, environment=environment or {}, document=document or {}, file="f.toml"
    )


class OrderTests(SynchronousTestCase):
    """Option, environment, file, default."""

    @given(st.lists(st.sampled_from(["option", "environment", "file"]), unique=True))
    def test_thePlaces(self, places: list[str]) -> None:
        """Whatever the places a value is given in, the first of the order wins."""
        found = gateway(
            {"port": ["1"]} if "option" in places else {},
            {"ANP_PORT": "2"} if "environment" in places else {},
            {"port": 3} if "file" in places else {},
        )
        order = [("option", 1), ("environment", 2), ("file", 3), ("default", 9877)]
        place, value = next(pair for pair in order if pair[0] in [*places, "default"])
        self.assertEqual(found.settings.port, value)
        self.assertIs(found.sources["port"], Source[place.upper()])

    def test_repeatedOption(self) -> None:
        """A repeatable option collects, and keeps blanks; another one may be given once."""
        found = gateway({"listen": ["tcp:1", "unix:/a b"]})
        self.assertEqual(found.settings.listen, ("tcp:1", "unix:/a b"))
        with self.assertRaisesRegex(SettingsError, "--port is given 2 times"):
            gateway({"port": ["1", "2"]})

    def test_repeatableReplaces(self) -> None:
        """A list from a better place replaces the whole list of a lesser one."""
        settings = gateway({"listen": ["tcp:1"]}, {}, {"listen": ["tcp:2", "tcp:3"]}).settings
        self.assertEqual(settings.listen, ("tcp:1",))

    def test_missing(self) -> None:
        """A setting without default has to be given."""
        with self.assertRaisesRegex(SettingsError, "--app is missing"):
            resolve(ReceiverSettings, options={}, environment={}, document={})

    def test_malformed(self) -> None:
        """A malformed value is named by the place it was given in, and not repeated."""
        for places, label in (
            (({"port": ["geheim"]}, {}, {}), "--port must"),
            (({}, {"ANP_PORT": "geheim"}, {}), "ANP_PORT must"),
            (({}, {}, {"port": "geheim"}), "port in f.toml must"),
            (({}, {}, {"gateway": {"port": "geheim"}}), r"port in \[gateway\] of f.toml must"),
        ):
            with self.assertRaisesRegex(SettingsError, label) as caught:
                gateway(*places)
            self.assertNotIn("geheim", str(caught.exception))


class EnvironmentTests(SynchronousTestCase):
    """C{ANP_*}."""

    def test_unknown(self) -> None:
        """An unknown variable is named, and so is the nearest one."""
        with self.assertRaisesRegex(SettingsError, "'ANP_PROT'; did you mean 'ANP_PORT'"):
            gateway({}, {"ANP_PROT": "1"})

    def test_others(self) -> None:
        """What does not begin with ANP_ is not ours; what another command knows is let pass."""
        self.assertEqual(gateway({}, {"PORT": "1", "ANP": "x", "ANP_APP": "m:app"}).settings.port, 9877)

    def test_ofAnotherCommand(self) -> None:
        """Each setting of each command is known by its variable, whatever it holds."""
        own = {row.variable for row in settings_of(GatewaySettings).values()}
        for cls in COMMANDS.values():
            for row in settings_of(cls).values():
                if row.variable not in own and row.places is not Places.ONLY_IN_FILE:
                    self.assertEqual(gateway({}, {row.variable: "?"}).settings, GatewaySettings())


class FileTests(SynchronousTestCase):
    """The TOML document."""

    def test_unknown(self) -> None:
        """An unknown key is named, and so is the nearest one; in a section too, and in that of another command."""
        for document, words in (
            ({"prot": 1}, "'prot' in f.toml; did you mean 'port'"),
            ({"gateway": {"prot": 1}}, r"'prot' in \[gateway\] of f.toml; did you mean 'port'"),
            ({"receiver": {"paht": 1}}, r"'paht' in \[receiver\] of f.toml; did you mean 'path'"),
            ({"gatewya": {}}, "'gatewya' in f.toml; did you mean 'gateway'"),
            ({"config": "x"}, "unknown key 'config'"),
        ):
            with self.assertRaisesRegex(SettingsError, words):
                gateway({}, {}, document)

    def test_ofAnotherCommand(self) -> None:
        """A key at the top that only another command knows is refused with the section it belongs to."""
        with self.assertRaisesRegex(SettingsError, r"no setting of anp-gateway; it belongs under \[receiver\]"):
            gateway({}, {}, {"capacity": 1})

    def test_sections(self) -> None:
        """A section of the command goes before the top; those of others are not applied."""
        document = {"port": 1, "drain": 2, "gateway": {"port": 3}, "both": {"port": 4}, "receiver": {"app": "m:app"}}
        settings = gateway({}, {}, document).settings
        self.assertEqual((settings.port, settings.drain), (3, 2.0))

    def test_gatewayOfAReceiver(self) -> None:
        """C{gateway} with a string is the receiver's setting, not a section."""
        found = resolve(
            ReceiverSettings, options={}, environment={}, document={"app": "m:app", "gateway": "wss://h/ws"}, file="f"
        )
        self.assertEqual(found.settings.gateway, ("wss://h/ws",))

    def test_dashes(self) -> None:
        """Keys may be written as the options are, but only once."""
        self.assertEqual(gateway({}, {}, {"in-flight": 5}).settings.in_flight, 5)
        with self.assertRaisesRegex(SettingsError, "given twice"):
            gateway({}, {}, {"in-flight": 5, "in_flight": 5})


class SecretTests(SynchronousTestCase):
    """The token."""

    def test_noOption(self) -> None:
        """No command has an option for the secret itself."""
        for cls in COMMANDS.values():
            self.assertNotIn("token", option_names(cls))

    def test_places(self) -> None:
        """It comes from the environment or the file, and stays out of the representation."""
        for found in (gateway({}, {"ANP_TOKEN": "geheim"}), gateway({}, {}, {"token": "geheim"})):
            self.assertEqual(found.settings.token, "geheim")
            self.assertNotIn("geheim", repr(found))


class ExclusionTests(SynchronousTestCase):
    """Two ways to say one thing."""

    def test_samePlace(self) -> None:
        """In the same place they contradict each other."""
        with self.assertRaisesRegex(SettingsError, "--listen and --port contradict"):
            gateway({"listen": ["tcp:1"], "port": ["2"]})
        with self.assertRaisesRegex(SettingsError, "contradict"):
            gateway({}, {"ANP_TOKEN": "a", "ANP_TOKEN_FILE": "b"})

    def test_betterPlace(self) -> None:
        """The one from the better place stays, whichever it is."""
        settings = gateway({"token-file": ["f"]}, {"ANP_TOKEN": "a"}).settings
        self.assertEqual((settings.token_file, settings.token), ("f", None))
        settings = gateway({}, {"ANP_TOKEN": "a"}, {"token_file": "f"}).settings
        self.assertEqual((settings.token_file, settings.token), (None, "a"))

    def test_sourcesAfterwards(self) -> None:
        """What was dropped counts as not given."""
        found = gateway({"port": ["1"]}, {}, {"listen": "tcp:2"})
        self.assertIs(found.sources["listen"], Source.DEFAULT)
        self.assertEqual(found.settings.listen, ())
