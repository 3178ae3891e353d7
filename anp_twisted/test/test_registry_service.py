"""Rules of L{anp_twisted.registry.service}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import RegistryError
from anp_twisted.registry.book import NOTHING, Book
from anp_twisted.registry.service import Freshness
from anp_twisted.test.registrylab import RegistryLab, book

ONE = book({"ann": ["/a"]}, version=1)
TWO = book({"ann": ["/a", "/b"]}, version=2)
AWAY = RegistryError("it is away")


class RegistryTestCase(SynchronousTestCase):
    """Has a registry."""

    def start(self, book: Book | Exception | None = None, **caps: float) -> RegistryLab:
        """Start one that ends with the test."""
        lab = RegistryLab(book, **caps)
        lab.registry.startService()
        self.addCleanup(self.stop, lab)
        return lab

    def stop(self, lab: RegistryLab) -> None:
        """Stop it, unless the test has."""
        if lab.registry.running:
            lab.registry.stopService()


class LookTests(RegistryTestCase):
    """What is known follows the database."""

    def test_nothing(self) -> None:
        """Where there is no registry nothing is asked, and that is known at once."""
        lab = self.start()
        self.assertTrue(lab.registry.known)
        lab.advance(5)
        self.assertEqual(
            (lab.source.asked, lab.registry.book, lab.registry.freshness), ([], NOTHING, Freshness.CURRENT)
        )
        self.successResultOf(lab.registry.refresh())

    def test_appears(self) -> None:
        """One that is made later is found."""
        lab = self.start()
        lab.source.book = ONE
        lab.advance(1)
        self.assertIs(lab.registry.book, ONE)
        self.assertEqual([lab.registry.knows(name) for name in ("ann", "bob")], [True, False])

    def test_poll(self) -> None:
        """A change is in effect within a look; what has not changed is not read again."""
        lab = self.start(ONE)
        self.assertFalse(lab.registry.known)
        lab.threads.work()
        self.assertTrue(lab.registry.known)
        lab.advance(3)
        self.assertEqual((lab.registry.reads, lab.source.asked[0], set(lab.source.asked[1:])), (1, None, {(1,)}))
        lab.source.book = TWO
        lab.advance(lab.limits.registry_poll)
        self.assertIs(lab.registry.book, TWO)
        self.assertEqual(lab.registry.figures(), {"state": "current", "tokens": 0, "routes": 2, "reads": 2})

    def test_listeners(self) -> None:
        """Each look tells what is known, since tokens end by themselves."""
        lab = self.start(ONE)
        lab.advance(3)
        self.assertGreaterEqual(lab.books.count(ONE), 3)

    def test_reread(self) -> None:
        """Now and then everything is read, whatever the version says."""
        lab = self.start(ONE, registry_reread=10.0)
        lab.advance(25, step=0.5)
        self.assertEqual(lab.source.asked.count(None), 3)

    def test_oneAtATime(self) -> None:
        """A database that hangs is asked once."""
        lab = self.start(ONE)
        lab.clock.pump([0.5] * 60)
        self.assertEqual(len(lab.threads.waiting), 1)

    def test_stop(self) -> None:
        """Nothing is left, also if the database answers later."""
        lab = self.start(ONE)
        lab.registry.stopService()
        self.assertEqual((lab.source.closed, lab.threads.stopped), (True, True))
        lab.threads.work()
        self.assertEqual([call for call in lab.clock.getDelayedCalls() if call.active()], [])


class AwayTests(RegistryTestCase):
    """The database is away."""

    def test_goOn(self) -> None:
        """What is known holds; it is said once; it comes back by itself."""
        lab = self.start(ONE)
        lab.threads.work()
        lab.source.book = AWAY
        lab.advance(10)
        self.assertEqual((lab.registry.book, lab.registry.freshness), (ONE, Freshness.STALE))
        lab.source.book = TWO
        lab.advance(lab.limits.registry_poll)
        self.assertEqual((lab.registry.book, lab.registry.freshness), (TWO, Freshness.CURRENT))

    def test_late(self) -> None:
        """One that hangs is away after its time, and there again when it answers."""
        lab = self.start(ONE)
        lab.threads.work()
        lab.clock.advance(1)
        lab.clock.advance(lab.limits.registry_patience)
        self.assertEqual(lab.registry.freshness, Freshness.STALE)
        lab.clock.pump([1] * 10)
        lab.source.book = TWO
        lab.threads.work()
        self.assertEqual((lab.registry.book, lab.registry.freshness), (TWO, Freshness.CURRENT))

    def test_neverThere(self) -> None:
        """One that is away at the start is read when it comes."""
        lab = self.start(AWAY)
        lab.advance(3)
        self.assertEqual((lab.registry.known, lab.registry.freshness), (False, Freshness.STALE))
        lab.source.book = ONE
        lab.advance(1)
        self.assertTrue(lab.registry.known)

    def test_strange(self) -> None:
        """A driver that fails in a way of its own ends nothing."""
        lab = self.start(ValueError("strange"))
        lab.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        lab.source.book = ONE
        lab.advance(1)
        self.assertIs(lab.registry.book, ONE)


class RefreshTests(RegistryTestCase):
    """Somebody has to know."""

    def test_refresh(self) -> None:
        """It fires when what is known is as new as it was when it was asked for."""
        lab = self.start(ONE)
        lab.threads.work()
        lab.clock.advance(0.5)
        lab.source.book = TWO
        done = lab.registry.refresh()
        self.assertNoResult(done)
        lab.threads.work()
        self.successResultOf(done)
        self.assertIs(lab.registry.book, TWO)

    def test_notTheOneBefore(self) -> None:
        """What was asked before does not count."""
        lab = self.start(ONE)
        done = lab.registry.refresh()
        lab.threads.work()
        self.assertNoResult(done)
        lab.advance(lab.limits.registry_gap)
        self.successResultOf(done)

    def test_many(self) -> None:
        """However many ask, the database is asked about ten times a second."""
        lab = self.start(ONE)
        lab.threads.work()
        asked: list[Deferred[None]] = []
        for _ in range(100):
            asked += [lab.registry.refresh() for _ in range(20)]
            lab.clock.advance(0.01)
            lab.threads.work()
        lab.advance(0.2)
        for one in asked:
            self.successResultOf(one)
        self.assertLess(len(lab.source.asked), 15)

    def test_tooLate(self) -> None:
        """Nobody waits for longer than a second, whatever the database does."""
        lab = self.start(ONE)
        lab.threads.work()
        lab.clock.advance(0.5)
        asked = [lab.registry.refresh() for _ in range(3)]
        lab.clock.advance(lab.limits.registry_patience)
        for one in asked:
            self.failureResultOf(one, RegistryError)
        lab.advance(2)
        self.assertIs(lab.registry.book, ONE)

    def test_fails(self) -> None:
        """What cannot be asked fails at once."""
        lab = self.start(AWAY)
        lab.threads.work()
        lab.clock.advance(0.5)
        done = lab.registry.refresh()
        lab.threads.work()
        self.failureResultOf(done, RegistryError)

    def test_reload(self) -> None:
        """Everything is read, whether or not it seems to have changed."""
        lab = self.start(ONE)
        lab.threads.work()
        lab.clock.advance(0.5)
        done = lab.registry.reload()
        lab.threads.work()
        self.successResultOf(done)
        self.assertEqual(lab.source.asked, [None, None])

    def test_change(self) -> None:
        """A change is in effect when it is said to be done, and is done also if it cannot be read again."""
        lab = self.start(ONE)
        lab.threads.work()
        lab.clock.advance(0.5)

        def change(source: Any) -> str:
            source.book = TWO
            return "done"

        done = lab.registry.change(change)
        lab.threads.work()
        self.assertNoResult(done)
        lab.threads.work()
        self.assertEqual((self.successResultOf(done), lab.registry.book), ("done", TWO))
        lab.clock.advance(0.25)

        def leave(source: Any) -> str:
            source.book = AWAY
            return "done"

        done = lab.registry.change(leave)
        lab.threads.work()
        lab.threads.work()
        self.assertEqual(self.successResultOf(done), "done")
