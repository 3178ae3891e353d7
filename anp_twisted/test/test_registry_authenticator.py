"""Rules of L{anp_twisted.registry.authenticator}."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.authenticator import Ways
from anp_twisted.auth.identity import RECEIVER, Credentials, Identity
from anp_twisted.errors import CredentialsRefused, RegistryError
from anp_twisted.registry.authenticator import AfterRegistry, BearerTokens
from anp_twisted.registry.book import Book
from anp_twisted.test.registrylab import RegistryLab, book, holder

ANN = book({"ann": ["/a"]}, {"secret": ("ann", 50.0)})
BOTH = book({"ann": ["/a"], "bob": ["/b"]}, {"secret": "ann", "new": "bob"}, version=2)


class BearerTestCase(SynchronousTestCase):
    """Has a registry and asks it."""

    def make(self, book: Book | Exception | None) -> None:
        """Start the registry; it was not read yet."""
        self.lab = RegistryLab(book)
        self.lab.registry.startService()
        self.addCleanup(self.lab.registry.stopService)
        tokens = BearerTokens("shared", self.lab.registry, self.lab.clock.seconds)
        self.way = AfterRegistry(Ways([tokens]), self.lab.registry)

    def show(self, value: bytes) -> Deferred[Identity]:
        """Show credentials."""
        return self.way.authenticate(Credentials(b"GET", b"/ws", [(b"Authorization", value)]))

    def status(self, value: bytes) -> int:
        """The status somebody is refused with, at once."""
        error = self.failureResultOf(self.show(value), CredentialsRefused).value
        assert isinstance(error, CredentialsRefused)
        return error.status


class BearerTests(BearerTestCase):
    """Who shows which token."""

    def setUp(self) -> None:
        """Begin with a registry that was read."""
        self.make(ANN)
        self.lab.threads.work()
        self.lab.clock.advance(0.5)

    def test_known(self) -> None:
        """A live token of the registry, or the one that all may show, is judged at once."""
        self.assertEqual(self.successResultOf(self.show(b"Bearer secret")), holder("ann"))
        self.assertEqual(self.successResultOf(self.show(b"bearer shared")), RECEIVER)

    def test_malformed(self) -> None:
        """What is no token costs no question."""
        for value in (b"Bearer", b"Bearer ", b"Bearer a b", b"Basic secret", b"", b"Bearer \xff"):
            self.assertEqual(self.status(value), 401, value)
        self.assertEqual(len(self.lab.threads.waiting), 0)

    def test_unknown(self) -> None:
        """The database is asked for one that is not known, and then it is refused."""
        for token in (b"secre", b"secretx", b"SECRET", b"new"):
            shown = self.show(b"Bearer " + token)
            self.assertNoResult(shown)
            self.lab.advance(0.2)
            self.failureResultOf(shown, CredentialsRefused)

    def test_new(self) -> None:
        """One that was made a moment ago is good at once."""
        self.lab.source.book = BOTH
        shown = self.show(b"Bearer new")
        self.lab.threads.work()
        self.assertEqual(self.successResultOf(shown), holder("bob"))

    def test_ended(self) -> None:
        """One that has ended is refused."""
        self.lab.clock.advance(60)
        self.lab.threads.work()
        shown = self.show(b"Bearer secret")
        self.lab.advance(0.2)
        self.failureResultOf(shown, CredentialsRefused)

    def test_away(self) -> None:
        """Without the database who is known gets in, and whoever is not hears 503 within a second."""
        self.lab.source.book = RegistryError("away")
        self.assertEqual(self.successResultOf(self.show(b"Bearer secret")), holder("ann"))
        shown = self.show(b"Bearer new")
        self.lab.clock.advance(1.0)
        error = self.failureResultOf(shown, CredentialsRefused).value
        assert isinstance(error, CredentialsRefused)
        self.assertEqual((error.status, error.retry_after), (503, 1.0))


class BeforeTests(BearerTestCase):
    """The registry was not read yet."""

    def test_waits(self) -> None:
        """Nobody is judged before it is known whose the places are, not even who needs no row."""
        self.make(ANN)
        shown = [self.show(b"Bearer " + token) for token in (b"secret", b"shared", b"wrong")]
        for one in shown:
            self.assertNoResult(one)
        self.lab.advance(0.5)
        self.assertEqual([self.successResultOf(one) for one in shown[:2]], [holder("ann"), RECEIVER])
        self.failureResultOf(shown[2], CredentialsRefused)

    def test_away(self) -> None:
        """While that cannot be known nobody gets in."""
        self.make(RegistryError("away"))
        self.lab.advance(2)
        shown = self.show(b"Bearer shared")
        self.lab.advance(1)
        error = self.failureResultOf(shown, CredentialsRefused).value
        assert isinstance(error, CredentialsRefused)
        self.assertEqual(error.status, 503)

    def test_none(self) -> None:
        """Where there is no registry nobody waits."""
        self.make(None)
        self.assertEqual(self.successResultOf(self.show(b"Bearer shared")), RECEIVER)
        self.assertEqual(self.status(b"Bearer secret"), 401)
