"""Tests for L{anp_twisted.gateway.balancer}."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.balancer import Member, Pool


def taken(pool: Pool) -> str | None:
    """Choose a member, count a request as its own, and name it."""
    member = pool.choose()
    if member is None:
        return None
    member.take()
    return member.name


class BalanceTests(SynchronousTestCase):
    """The member with the least in flight is next."""

    def test_even(self) -> None:
        """Equal members take turns."""
        pool = Pool(b"")
        for name in "abc":
            pool.add(Member(name, 10))
        self.assertEqual([taken(pool) for _ in range(6)], ["a", "b", "c", "a", "b", "c"])

    def test_least(self) -> None:
        """A member that gave one back is next."""
        pool = Pool(b"")
        first, second = Member("a", 10), Member("b", 10)
        pool.add(first)
        pool.add(second)
        for _ in range(4):
            taken(pool)
        second.give_back()
        self.assertEqual(taken(pool), "b")

    def test_capacity(self) -> None:
        """No member gets more than its capacity, and room that comes back is used."""
        pool = Pool(b"")
        small, large = Member("small", 1), Member("large", 2)
        pool.add(small)
        pool.add(large)
        self.assertEqual([taken(pool) for _ in range(4)], ["small", "large", "large", None])
        small.give_back()
        self.assertEqual(taken(pool), "small")

    def test_avoid(self) -> None:
        """One that is to be avoided is taken when no other has room."""
        pool = Pool(b"")
        first, second = Member("a", 2), Member("b", 1)
        pool.add(first)
        pool.add(second)
        self.assertIs(pool.choose(), first)
        self.assertIs(pool.choose(first), second)
        second.take()
        self.assertIs(pool.choose(first), first)
        first.take()
        first.take()
        self.assertIsNone(pool.choose(first))

    def test_several_pools(self) -> None:
        """What a member has in flight counts in each of its pools."""
        one, two = Pool(b"/1"), Pool(b"/2")
        shared, other = Member("shared", 5), Member("other", 5)
        one.add(shared)
        two.add(shared)
        two.add(other)
        self.assertEqual(taken(one), "shared")
        self.assertEqual(taken(two), "other")

    def test_remove(self) -> None:
        """A member that left is not chosen, may still give back, and the pool knows since when it is empty."""
        pool = Pool(b"")
        member = Member("a", 1)
        pool.add(member)
        taken(pool)
        pool.remove(member, 7.0)
        member.give_back()
        self.assertEqual((pool.choose(), pool.empty_since, member.pools), (None, 7.0, []))
        pool.add(member)
        self.assertIsNone(pool.empty_since)


class BalanceMachine(RuleBasedStateMachine):
    """Any sequence of joining, leaving, taking and giving back keeps the pool in order."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(b"")
        self.members: list[Member] = []
        self.outside: list[Member] = []

    @rule(capacity=st.integers(1, 4))
    def join(self, capacity: int) -> None:
        """A new member comes."""
        member = Member(str(len(self.members)), capacity)
        self.members.append(member)
        self.pool.add(member)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A member goes, with whatever it has in flight."""
        member = data.draw(st.sampled_from(self.members))
        self.members.remove(member)
        self.outside.append(member)
        self.pool.remove(member, 1.0)

    @rule()
    def take(self) -> None:
        """The one that is chosen has the least of those with room."""
        roomy = [member.in_flight for member in self.members if member.in_flight < member.capacity]
        member = self.pool.choose()
        if not roomy:
            assert member is None
            return
        assert member is not None
        assert member.in_flight == min(roomy)
        member.take()

    @precondition(lambda self: any(member.in_flight for member in self.members + self.outside))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """A request ends, at a member that is there or has left."""
        busy = [member for member in self.members + self.outside if member.in_flight]
        data.draw(st.sampled_from(busy)).give_back()

    @invariant()
    def counts(self) -> None:
        """Nobody has more than it can take, and the pool knows its size."""
        assert all(0 <= member.in_flight <= member.capacity for member in self.members)
        assert self.pool.size == len(self.members)


class MachineTests(SynchronousTestCase):
    """Runs the machine."""

    def test_machine(self) -> None:
        """No sequence breaks the rules."""
        run_state_machine_as_test(BalanceMachine)
