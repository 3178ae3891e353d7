"""Rules of L{anp_twisted.gateway.reload}."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.access import AccessRecord
from anp_twisted.auth.authenticator import SharedToken
from anp_twisted.auth.changing import ByToken
from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.auth.receivers import DidReceivers
from anp_twisted.config.routes import RouteSettings
from anp_twisted.config.schema import settings_of
from anp_twisted.config.tables import BothSettings, GatewaySettings
from anp_twisted.errors import CredentialError, RegistryError, SettingsError
from anp_twisted.gateway.build import build_gateway
from anp_twisted.gateway.reload import (
    CHANGEABLE,
    Certificates,
    FixedSettings,
    Registered,
    SharedTokenOfAll,
    WelcomeDids,
)
from anp_twisted.reloading import Reloadable
from anp_twisted.test.gatewaylab import Lab, LinkInMemory
from anp_twisted.test.test_transports_tls import TlsTestCase
from anp_twisted.transports.tls import ServerContext


class FixedTests(SynchronousTestCase):
    """What needs a restart."""

    def test_named(self) -> None:
        """Each of it is named, and what can change is no hindrance."""
        before = GatewaySettings(port=1)
        part = FixedSettings(before)
        part.prepare(replace(before, in_flight=7, routes=(("/a", RouteSettings(concurrency=1)),), token="x"))()
        error = self.assertRaises(SettingsError, part.prepare, replace(before, port=2, workers=3))
        self.assertIn("port", str(error))
        self.assertIn("workers", str(error))
        self.assertNotIn("connections", str(error))

    def test_tls(self) -> None:
        """A listener cannot begin to speak TLS."""
        part = FixedSettings(GatewaySettings())
        self.assertRaises(SettingsError, part.prepare, GatewaySettings(tls_cert="a", tls_key="b"))

    def test_known(self) -> None:
        """Each name in the list is a setting, and those of both commands are judged alike."""
        self.assertEqual(CHANGEABLE - settings_of(GatewaySettings).keys(), set())
        part = FixedSettings(BothSettings(), CHANGEABLE - {"token"})
        part.prepare(BothSettings(in_flight=3))()
        self.assertRaises(SettingsError, part.prepare, BothSettings(token="x"))


class RulesTests(SynchronousTestCase):
    """Rules and caps of a gateway that runs."""

    def setUp(self) -> None:
        """Make one in memory."""
        self.lab = Lab()
        self.parts: list[Reloadable[Any]] = []
        records: list[AccessRecord] = []
        self.gateway = build_gateway(
            self.lab.clock,
            GatewaySettings(),
            limits=GatewaySettings().limits(),
            token="one",
            announce=lambda url: None,
            record=records.append,
            parts=self.parts,
        )

    def reload(self, settings: GatewaySettings) -> None:
        """Go over to other settings, as a reloader does."""
        commits: list[Any] = [part.prepare(settings) for part in self.parts[:1]]
        for commit in commits:
            commit()

    def test_caps(self) -> None:
        """Every part that goes by a cap goes by the new one."""
        self.reload(
            GatewaySettings(
                connect_timeout=1.5,
                first_byte_timeout=2.5,
                connections=11,
                connections_per_address=5,
                head_timeout=3.5,
                overload_requests=77,
                overload_lag=4.5,
                ping_interval=20.0,
                drain=9.0,
                in_flight=6,
            )
        )
        gateway: Any = self.gateway
        self.assertEqual(sorted(gateway.exchanges._step_budget.values()), [1.5, 2.5, 120.0])
        for factory in (gateway.front, gateway.link_front):
            self.assertEqual((factory.crowd._most, factory.crowd._most_each, factory.limits.head_timeout), (11, 5, 3.5))
        self.assertEqual((gateway.exchanges.overload.crowd, gateway.exchanges._crowd), (77, 77))
        self.assertEqual(gateway._link_factory._wiring.limits.dead_after, 50.0)
        self.assertEqual((gateway._limits.drain, gateway.receivers._limits.in_flight), (9.0, 6))

    def test_rules(self) -> None:
        """Who may call is judged anew; what was counted stays counted."""
        admission: Any = self.gateway._admission
        admission.refused["denied"] = 3
        self.reload(GatewaySettings(deny=("198.51.100.0/24",), show_request_id="all"))
        self.assertIs(self.gateway._admission, admission)
        self.assertTrue(admission._access)
        self.assertEqual(admission.refused["denied"], 3)
        self.assertTrue(self.gateway.exchanges.forwards_ids)
        self.reload(GatewaySettings())
        self.assertFalse(admission._access)
        self.assertFalse(self.gateway.exchanges.forwards_ids)


class TokenTests(SynchronousTestCase):
    """The token of all receivers."""

    def setUp(self) -> None:
        """Two receivers are there, only one of which came by the token."""
        self.lab = Lab()
        self.judge = ByToken(SharedToken, "one")
        gateway: Any = type("Gateway", (), {"receivers": self.lab.receivers})
        self.part = SharedTokenOfAll(self.judge, gateway)
        self.by_token = self.lab.connect(paths=["/a"])
        self.lab.settle()

    def test_same(self) -> None:
        """Nobody is sent away for the same token."""
        self.part.prepare(GatewaySettings(token="one"))()
        self.assertIsNone(self.by_token.closed)

    def test_other(self) -> None:
        """Whoever came in with the old one is sent away, as with a credential that is not good any more."""
        commit = self.part.prepare(GatewaySettings(token="two"))
        self.assertEqual((self.judge.token, self.by_token.closed), ("one", None))
        commit()
        self.assertEqual(self.judge.token, "two")
        self.assertEqual(self.by_token.closed, (4003, "the token has changed"))

    def test_others_stay(self) -> None:
        """Who proved something else stays."""
        self.assertEqual(self.lab.receivers.send_away(Identity(Kind.DID, "did:wba:a"), "x"), 0)
        self.assertIsNone(self.by_token.closed)

    def test_unsafe(self) -> None:
        """A token that others can read is none."""
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("secret")
        os.chmod(path, 0o644)
        self.assertRaises(CredentialError, self.part.prepare, GatewaySettings(token_file=path))


class DidTests(SynchronousTestCase):
    """Which DIDs may connect."""

    def test_change(self) -> None:
        """Who may not any more, or not where it is, is sent away; the others notice nothing."""
        lab = Lab()
        names = [f"did:wba:a.example:{name}" for name in "xyz"]
        dids = [Identity(Kind.DID, name, paths=frozenset({b"/" + name[-1:].encode()})) for name in names]
        links = [LinkInMemory(lab, lab.hello(paths=[f"/{did.name[-1]}"]), did) for did in dids]
        lab.links += links
        lab.settle()
        gateway: Any = type("Gateway", (), {"receivers": lab.receivers})
        nobody: Any = None
        way = DidReceivers(nobody, [])
        rules = ("did:wba:a.example:x=/x", "did:wba:a.example:y=/elsewhere")
        commit = WelcomeDids(way, gateway).prepare(GatewaySettings(allow_did=rules, public_host=("a.example",)))
        self.assertEqual([link.closed for link in links], [None] * 3)
        commit()
        self.assertEqual([link.closed and link.closed[0] for link in links], [None, 4003, 4003])


class CertificateTests(TlsTestCase):
    """What listeners show."""

    def test_change(self) -> None:
        """New connections see the new certificate; nothing changes before all parts can."""
        context = ServerContext.read(*self.pair("old.example.org"))
        self.assertIsInstance(self.shake(context, "old.example.org"), SSL.Connection)  # type: ignore[arg-type]
        cert, key = self.pair("new.example.org")
        commit = Certificates(context).prepare(GatewaySettings(tls_cert=cert, tls_key=key))
        self.assertIsInstance(self.shake(context, "old.example.org"), SSL.Connection)  # type: ignore[arg-type]
        commit()
        self.assertIsInstance(self.shake(context, "new.example.org"), SSL.Connection)  # type: ignore[arg-type]
        self.assertIsInstance(self.shake(context, "old.example.org"), str)  # type: ignore[arg-type]

    def test_unusable(self) -> None:
        """Files that cannot be used are refused."""
        context = ServerContext.read(*self.pair())
        part = Certificates(context)
        self.assertRaises(CredentialError, part.prepare, GatewaySettings(tls_cert="nowhere", tls_key="nowhere"))
        part.prepare(GatewaySettings())()


class RegisteredTests(SynchronousTestCase):
    """What the registry knows."""

    def test_away(self) -> None:
        """It is asked; a database that is away is told of and stops nothing."""
        answers: list[Deferred[None]] = [succeed(None), fail(RegistryError("away"))]
        registry: Any = type("Registry", (), {"reload": lambda self: answers.pop(0)})()
        part = Registered(registry)
        part.prepare(None)()
        part.prepare(None)()
        self.assertEqual(answers, [])
