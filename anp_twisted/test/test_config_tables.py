"""Rules of L{anp_twisted.config.tables}."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.schema import Places, settings_of
from anp_twisted.config.tables import COMMANDS, EXCLUSIVE, BothSettings, GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError
from anp_twisted.limits import DEFAULT_LIMITS


class TableTests(SynchronousTestCase):
    """What the three commands declare."""

    def test_everyFieldIsASetting(self) -> None:
        """No field of a settings class is outside of the table."""
        for cls in COMMANDS.values():
            self.assertEqual({field.name for field in fields(cls)}, set(settings_of(cls)))

    def test_defaultsAreOfTheirKind(self) -> None:
        """Each default could have been written by the operator."""
        for cls in COMMANDS.values():
            for row in settings_of(cls).values():
                if row.default is MISSING or row.default is None or row.default == ():
                    continue
                text = " ".join(row.default) if type(row.default) is tuple else str(row.default)
                self.assertEqual(row.kind.from_text(text), row.default, row.name)

    def test_helpIsASentence(self) -> None:
        """Each help text is one sentence that ends."""
        for cls in COMMANDS.values():
            for row in settings_of(cls).values():
                self.assertTrue(row.help.endswith(".") and row.help[0].isupper(), row.name)

    def test_secrets(self) -> None:
        """What is a secret and nothing else is no option."""
        expected = {
            GatewaySettings: ["shared_secret", "token"],
            ReceiverSettings: ["shared_secret", "token"],
            AssistantSettings: ["agent_key", "token"],
        }
        for cls in COMMANDS.values():
            hidden = [row.name for row in settings_of(cls).values() if row.places is Places.NOT_BY_ARGV]
            self.assertEqual(sorted(hidden), expected.get(cls, ["token"]))

    def test_exclusionsExist(self) -> None:
        """Exclusions name settings that there are."""
        known = {name for cls in COMMANDS.values() for name in settings_of(cls)}
        for one, others in EXCLUSIVE:
            self.assertLessEqual({one, *others}, known)

    def test_defaultsAreTheLimits(self) -> None:
        """Without any setting each command works under the default caps, but for the lag of anp-both."""
        cases: list[CommonSettings] = [
            GatewaySettings(),
            BothSettings(overload_lag=DEFAULT_LIMITS.overload_lag),
            ReceiverSettings(app=("m:app",)),
        ]
        self.assertEqual(BothSettings().limits().overload_lag, 0.0)
        for settings in cases:
            assert isinstance(settings, (GatewaySettings, BothSettings, ReceiverSettings))
            self.assertEqual(settings.limits(), DEFAULT_LIMITS)

    def test_limitsFollowTheSettings(self) -> None:
        """Every setting that is a cap reaches the limits."""
        gateway = GatewaySettings(
            in_flight=1,
            connect_timeout=2.0,
            first_byte_timeout=3.0,
            idle_timeout=4.0,
            total_timeout=5.0,
            body_limit=6,
            drain=7.0,
        ).limits()
        budgets = (gateway.connect_budget, gateway.first_byte_budget, gateway.idle_budget, gateway.total_budget)
        self.assertEqual((gateway.in_flight, *budgets, gateway.body, gateway.drain), (1, 2.0, 3.0, 4.0, 5.0, 6, 7.0))
        receiver = ReceiverSettings(app=("m:app",), capacity=1, cancel_grace=2.0, drain=3.0).limits()
        self.assertEqual((receiver.in_flight, receiver.cancel_grace, receiver.drain), (1, 2.0, 3.0))
        both = BothSettings(in_flight=1, cancel_grace=2.0, drain=3.0, body_limit=4).limits()
        self.assertEqual((both.in_flight, both.cancel_grace, both.drain, both.body), (1, 2.0, 3.0, 4))

    def test_processes(self) -> None:
        """More than one worker, or a reload, needs processes; folders to watch need something that watches."""
        for cls in (ReceiverSettings, BothSettings):
            cases: dict[str, tuple[dict[str, Any], bool]] = {
                "nothing": ({}, False),
                "one": ({"workers": 1}, False),
                "two": ({"workers": 2}, True),
                "reload": ({"reload": True, "reload_dir": ("a",)}, True),
            }
            for name, (given, wanted) in cases.items():
                self.assertEqual(cls(app=("m:app",), **given).in_processes, wanted, name)
            self.assertRaises(SettingsError, cls, app=("m:app",), reload_dir=("a",))

    def test_limitsOfTheFront(self) -> None:
        """So do those about connections and their time."""
        limits = BothSettings(
            head_timeout=1.0,
            body_timeout=2.0,
            body_progress=3,
            write_timeout=4.0,
            keep_alive=5.0,
            connections=6,
            connections_per_address=7,
        ).limits()
        times = (limits.head_timeout, limits.body_timeout, limits.write_timeout, limits.keep_alive)
        self.assertEqual((times, limits.body_progress), ((1.0, 2.0, 4.0, 5.0), 3))
        self.assertEqual((limits.connections, limits.connections_per_address), (6, 7))

    def test_tlsByHalves(self) -> None:
        """A certificate without key, or a key without certificate, is refused."""
        self.assertRaises(SettingsError, GatewaySettings, tls_cert="c")
        self.assertRaises(SettingsError, GatewaySettings, tls_key="k")

    def test_tlsForNobody(self) -> None:
        """A certificate that no listener would use is refused."""
        tls: dict[str, Any] = {"tls_cert": "c", "tls_key": "k"}
        with self.assertRaises(SettingsError):
            GatewaySettings(listen=("tcp:1",), **tls)
        with self.assertRaises(SettingsError):
            GatewaySettings(listen=("tcp:1",), wss_listen=("tcp:2",), wss_port=3, **tls)
        self.assertEqual(GatewaySettings(listen=("tcp:1",), wss_port=3, **tls).tls_cert, "c")
        self.assertEqual(GatewaySettings(**tls).tls_key, "k")
