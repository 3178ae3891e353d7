"""Tests for L{anp_twisted.gateway.sockets}, with a stand-in for the sockets of the kernel."""

from __future__ import annotations

import errno
import socket
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.gateway import sockets


class Kernel:
    """A socket that listens nowhere."""

    made: ClassVar[list[Kernel]] = []
    fails_from: ClassVar[int] = 1000

    def __init__(self, family: int, kind: int) -> None:
        self.family = family
        self.options: set[int] = set()
        self.address: tuple[str, int] = ("", 0)
        self.closed = False
        self.made.append(self)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Keep it."""
        self.options.add(option)

    def bind(self, address: tuple[str, int]) -> None:
        """Take an address, unless there are enough."""
        if len(self.made) >= self.fails_from:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.address = (address[0], address[1] or 4711)

    def listen(self, queue: int) -> None:
        """Begin."""

    def setblocking(self, blocks: bool) -> None:
        """Never."""
        assert not blocks

    def getsockname(self) -> tuple[str, int]:
        """Where it is."""
        return self.address

    def close(self) -> None:
        """End."""
        self.closed = True

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


class GroupTests(SynchronousTestCase):
    """Sockets on one address."""

    def setUp(self) -> None:
        """Let nothing listen in earnest."""
        self.patch(Kernel, "made", [])
        self.patch(socket, "socket", Kernel)

    def bind(self, *arguments: Any, platform: str = "linux") -> list[Any]:
        """Make a group."""
        host, port, count = arguments
        return list(sockets.bind_group(host, port, count, platform))

    def test_group(self) -> None:
        """One for each worker, on the port that was free, shared among them only: the first look is not shared."""
        group = self.bind("127.0.0.1", 0, 3)
        self.assertEqual([one.address for one in group], [("127.0.0.1", 4711)] * 3)
        probe, *others = Kernel.made
        self.assertEqual((probe.closed, socket.SO_REUSEPORT in probe.options), (True, False))
        self.assertTrue(all(socket.SO_REUSEPORT in one.options and not one.closed for one in others))

    def test_family(self) -> None:
        """The address says which."""
        (one,) = self.bind("::1", 0, 1)
        self.assertEqual((one.family, sockets.family_of("::")), (socket.AF_INET6, socket.AF_INET6))

    def test_taken(self) -> None:
        """A port that is taken is one line, and nothing is left open, whichever of them fails."""
        for fails_from in (1, 3):
            Kernel.made.clear()
            self.patch(Kernel, "fails_from", fails_from)
            error = self.assertRaises(SettingsError, self.bind, "127.0.0.1", 80, 3)
            self.assertEqual(str(error), "cannot listen on 127.0.0.1 port 80: Address already in use")
            self.assertTrue(all(one.closed for one in Kernel.made))

    def test_elsewhere(self) -> None:
        """Where the kernel does not divide callers, that is said."""
        error = self.assertRaises(SettingsError, self.bind, "127.0.0.1", 0, 2, platform="darwin")
        self.assertIn("Linux", str(error))
