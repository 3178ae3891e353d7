"""Rules of L{anp_twisted.auth.sharedauth}."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.auth.replay import OwnMemory, unknown
from anp_twisted.auth.sharedauth import SharedSecretProofs, SharedSigner, check_secret
from anp_twisted.errors import CredentialsRefused, SettingsError

SECRET = "a-secret-of-sixteen"


class AwayMemory:
    """A replay memory that does not answer."""

    def spend(self, mark: bytes, now: float, until: float) -> Deferred[bool]:
        """Fail."""
        return fail(unknown("away"))

    def stop(self) -> Deferred[None]:
        """Nothing is open."""
        raise NotImplementedError


class SharedTests(SynchronousTestCase):
    """Somebody proves to somebody else that both know a secret."""

    def setUp(self) -> None:
        """Let them have one clock."""
        self.now = 1_800_000_000.0
        self.made = 0
        self.memory = OwnMemory(100)
        self.signer = SharedSigner(SECRET, wall=lambda: self.now, nonce=self.nonce)
        self.proofs = self.judge()

    def nonce(self) -> str:
        """Another one each time."""
        self.made += 1
        return f"{self.made:032x}"

    def judge(self, secret: str = SECRET) -> SharedSecretProofs:
        """A gateway with two names."""
        return SharedSecretProofs(
            secret,
            self.memory,
            services=["Gate.Example:8443", "other.example"],
            wall=lambda: self.now,
            expiry=300.0,
            ahead=60.0,
        )

    def show(self, value: str, *more: str) -> Deferred[Identity]:
        """Show a proof to the gateway."""
        headers = [(b"Authorization", one.encode()) for one in (value, *more)]
        credentials = Credentials(b"GET", b"/ws", headers, host=b"evil.example")
        self.assertEqual(self.proofs.claims(credentials), not more)
        return self.proofs.authenticate(credentials)

    def refused(self, value: str, *more: str) -> str:
        """Why a proof is none."""
        return str(self.failureResultOf(self.show(value, *more), CredentialsRefused).value)

    def test_opens(self) -> None:
        """Each proof opens once, at each name that the settings give; what the request says of its host is nothing."""
        for host in ("gate.example", "other.example", "GATE.example"):
            value = self.signer.authorization(host)
            found = self.successResultOf(self.show(value))
            self.assertEqual((found.kind, str(found)), (Kind.SHARED, "shared:receiver"))
            self.assertIn("used before", self.refused(value))
        self.assertIn("another host", self.refused(self.signer.authorization("evil.example")))

    def test_time(self) -> None:
        """Good from a minute before to its end, by the clock of the gateway."""
        value, made = self.signer.authorization("gate.example"), self.now
        for offset, good in ((-61, False), (301, False), (-60, True)):
            self.now = made + offset
            if good:
                self.successResultOf(self.show(value))
            else:
                self.assertIn("too old", self.refused(value))
        self.now = made + 300
        self.assertIn("used before", self.refused(value))

    def test_wrongSpendsNothing(self) -> None:
        """A proof that is wrong uses up no nonce."""
        value = self.signer.authorization("gate.example")
        wrong = value[:-3] + ("AA" if value[-3:-1] != "AA" else "BB") + '"'
        for _ in range(3):
            self.assertIn("is wrong", self.refused(wrong))
        self.successResultOf(self.show(value))

    def test_otherSecret(self) -> None:
        """Who knows another secret knows nothing."""
        self.proofs = self.judge("b-secret-of-sixteen")
        self.assertIn("is wrong", self.refused(self.signer.authorization("gate.example")))

    def test_away(self) -> None:
        """Where it cannot be told whether a proof was used, it counts as used."""
        self.memory = AwayMemory()  # type: ignore[assignment]
        self.proofs = self.judge()
        self.assertIn("does not answer", self.refused(self.signer.authorization("gate.example")))

    def test_two(self) -> None:
        """Of two fields neither counts."""
        value = self.signer.authorization("gate.example")
        self.assertIn("malformed", self.refused(value, value))

    def test_guessable(self) -> None:
        """A secret that could be found by trying is refused, without being told."""
        for secret in ("", "x" * 15, "x" * 4097):
            error = self.assertRaises(SettingsError, check_secret, secret)
            self.assertFalse(secret and secret in str(error))
        self.assertEqual(check_secret("x" * 16), "x" * 16)
