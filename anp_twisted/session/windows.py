"""
Credit: how many body bytes one side may still send. It knows no frames.

C{docs/protocol/anpx.md}, "Credit".
"""

from __future__ import annotations

from anp_twisted.errors import FlowControlError
from anp_twisted.wire.v2 import MOST_CREDIT


class SendWindow:
    """
    The credit that the peer gave this side.

    @ivar credit: bytes that may be sent now.
    """

    __slots__ = ("credit",)

    def __init__(self, credit: int) -> None:
        self.credit = credit

    def take(self, size: int) -> None:
        """Spend credit on C{size} bytes that are sent now."""
        assert 0 <= size <= self.credit, "sent beyond the credit"
        self.credit -= size

    def grant(self, size: int) -> None:
        """
        Add what a WINDOW frame gave.

        @raise FlowControlError: if the sum is more than a window can hold.
        """
        if self.credit + size > MOST_CREDIT:
            raise FlowControlError("more credit than a window can hold")
        self.credit += size


class ReceiveWindow:
    """
    The credit that this side gave the peer, and when to give more.

    A byte is either still to come, held by the consumer, or consumed and not yet
    granted again; the three always add up to the size of the window.

    @ivar size: the whole window, in bytes.
    @ivar expected: bytes the peer may still send.
    @ivar held: bytes received that the consumer has not taken.
    """

    __slots__ = ("expected", "held", "size")

    def __init__(self, size: int) -> None:
        self.size = self.expected = size
        self.held = 0

    def received(self, size: int) -> None:
        """
        Count bytes that came.

        @raise FlowControlError: if the peer had no credit for them.
        """
        if size > self.expected:
            raise FlowControlError(f"{size} bytes came where {self.expected} were allowed")
        self.expected -= size
        self.held += size

    def consumed(self, size: int) -> int:
        """
        Count bytes that the consumer took.

        @return: the credit to grant now: nothing until L{enough} waits, so that a
            WINDOW frame is rare.
        """
        assert 0 <= size <= self.held, "consumed more than was received"
        self.held -= size
        due = self.size - self.expected - self.held
        if not due or not self.enough(due):
            return 0
        self.expected += due
        return due

    def enough(self, due: int) -> bool:
        """Tell whether C{due} bytes are worth a WINDOW frame: half of the window is."""
        return due * 2 >= self.size

    def release(self) -> int:
        """
        Let go of everything held, since no consumer will take it.

        @return: how many bytes that were.
        """
        held, self.held = self.held, 0
        return held

    def invariants(self) -> None:
        """Assert that no byte is counted twice."""
        assert self.expected >= 0 and self.held >= 0, "a count below nothing"
        assert self.expected + self.held <= self.size, "more credit than the window has"


class SharedWindow(ReceiveWindow):
    """
    The credit of a whole connection, which many consumers hold parts of.

    Half of the window would be too much to wait for: where slow consumers hold
    the rest, a quick one could use up what is left and never bring it together.
    It has to be looked at when credit is spent as well: what waits is enough, too,
    because the peer has less.
    """

    __slots__ = ()

    def enough(self, due: int) -> bool:
        """Tell whether C{due} bytes are worth a WINDOW frame: half of what nobody holds is."""
        return due >= self.expected
