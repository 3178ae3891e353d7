"""Tests for L{anp_twisted.assistant.channels.pairing}."""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.pairing import Approved, PairingDesk, Reply
from anp_twisted.limits import Limits

LIMITS = Limits(pairings=2, pairing_lifetime=100.0, pairing_quiet=10.0)


class PairingTests(SynchronousTestCase):
    """Requests, codes and approvals."""

    def setUp(self) -> None:
        """Codes are numbers here."""
        numbers = count()
        self.desk = PairingDesk(LIMITS, lambda: f"CODE{next(numbers):04}")

    def test_approve(self) -> None:
        """A stranger gets a code; who approves it lets exactly him in, on exactly that channel."""
        reply, request = self.desk.ask("tg", "7", 0.0)
        assert request is not None
        self.assertEqual((reply, request.code, request.sender_id), (Reply.CODE, "CODE0000", "7"))
        paired = self.desk.paired("tg")
        self.assertEqual(self.desk.approve(" code-0000 ", 5.0), Approved("tg", "7", 5.0))
        self.assertEqual((paired, self.desk.paired("other")), ({"7"}, set()))
        self.assertEqual(self.desk.waiting(5.0), ())
        self.assertIsNone(self.desk.approve("CODE0000", 5.0), "a code is good for one time")

    def test_quiet(self) -> None:
        """A stranger who writes on is told the same code, and only once in a while."""
        first = self.desk.ask("tg", "7", 0.0)
        self.assertEqual(self.desk.ask("tg", "7", 9.0), (Reply.NOTHING, first[1]))
        self.assertEqual(self.desk.ask("tg", "7", 10.0), first)
        self.assertEqual(self.desk.ask("tg", "7", 19.0)[0], Reply.NOTHING)

    def test_cap(self) -> None:
        """With too many waiting on a channel nobody gets a code there; other channels have room of their own."""
        replies = [
            self.desk.ask(channel, sender, 0.0)[0]
            for channel, sender in (("tg", "1"), ("tg", "2"), ("tg", "3"), ("dc", "1"))
        ]
        self.assertEqual(replies, [Reply.CODE, Reply.CODE, Reply.NOTHING, Reply.CODE])
        self.assertEqual([one.sender_id for one in self.desk.waiting(0.0)], ["1", "2", "1"])

    def test_expiry(self) -> None:
        """A request that nobody approved in time is gone, and makes room."""
        self.desk.ask("tg", "1", 0.0)
        self.desk.ask("tg", "2", 50.0)
        self.assertIsNone(self.desk.approve("CODE0000", 100.0))
        self.assertEqual(self.desk.ask("tg", "3", 100.0)[0], Reply.CODE)

    def test_reject(self) -> None:
        """A rejected request is gone; its sender may ask again and gets another code."""
        self.desk.ask("tg", "1", 0.0)
        found = self.desk.reject("CODE0000", 1.0)
        assert found is not None
        self.assertEqual((found.sender_id, self.desk.reject("CODE0000", 1.0)), ("1", None))
        again = self.desk.ask("tg", "1", 2.0)[1]
        assert again is not None
        self.assertEqual(again.code, "CODE0001")

    def test_shutOut(self) -> None:
        """An approval can be taken back, once."""
        self.desk = PairingDesk(LIMITS, str, (Approved("tg", "7", 1.0),))
        paired = self.desk.paired("tg")
        self.assertEqual(paired, {"7"})
        self.assertEqual((self.desk.shut_out("tg", "7"), self.desk.shut_out("tg", "7")), (True, False))
        self.assertEqual((paired, self.desk.approved()), (set(), ()))

    def test_codesDiffer(self) -> None:
        """Two requests never have the same code, whatever chance says."""
        codes = iter(["A", "A", "B"])
        desk = PairingDesk(LIMITS, lambda: next(codes))
        found = [desk.ask("tg", sender, 0.0)[1] for sender in ("1", "2")]
        self.assertEqual([one.code for one in found if one], ["A", "B"])
