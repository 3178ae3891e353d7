"""Tests for L{anp_twisted.vitals}."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.vitals import Vitals


class ThisProcessTests(SynchronousTestCase):
    """The figures of the process that runs the tests."""

    def setUp(self) -> None:
        """Look at it."""
        self.vitals = Vitals()
        self.addCleanup(self.vitals.close)

    def test_memory(self) -> None:
        """What is taken is counted, in bytes, and what there may be is more."""
        before = self.vitals.memory()
        block = b"x" * 50_000_000
        self.assertGreater(self.vitals.memory(), before + 40_000_000)
        self.assertGreater(self.vitals.memory_limit(), self.vitals.memory() - len(block))

    def test_descriptors(self) -> None:
        """Each open descriptor counts one."""
        before = self.vitals.descriptors()
        pair = os.pipe()
        self.assertEqual(self.vitals.descriptors(), before + 2)
        for descriptor in pair:
            os.close(descriptor)
        self.assertEqual(self.vitals.descriptors(), before)

    def test_descriptor_limit(self) -> None:
        """It is the soft one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        self.assertEqual(self.vitals.descriptor_limit(), 200)
        self.patch(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.assertEqual(self.vitals.descriptor_limit(), 0)

    def test_close(self) -> None:
        """The file that is kept open is closed, once."""
        before = self.vitals.descriptors()
        self.vitals.close()
        self.vitals.close()
        self.assertEqual((self.vitals.descriptors(), self.vitals.memory()), (before - 1, 0))


class OtherSystemTests(SynchronousTestCase):
    """The files of other kernels."""

    def setUp(self) -> None:
        """Begin with none."""
        self.root = Path(self.mktemp())
        self.root.mkdir()

    def write(self, path: str, text: str) -> None:
        """Make a file of the kernel."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def vitals(self) -> Vitals:
        """Look."""
        vitals = Vitals(str(self.root))
        self.addCleanup(vitals.close)
        return vitals

    def test_nothing(self) -> None:
        """What nobody tells is 0."""
        vitals = self.vitals()
        self.assertEqual((vitals.memory(), vitals.descriptors(), vitals.memory_limit()), (0, 0, 0))

    def test_counted(self) -> None:
        """Where only the folder is there, its entries are counted."""
        for number in range(3):
            self.write(f"dev/fd/{number}", "")
        self.assertEqual(self.vitals().descriptors(), 3)

    def test_memory_limit(self) -> None:
        """The least of the machine and of all groups above, of either version; no number is no limit."""
        self.write("proc/meminfo", "MemTotal:        2000 kB\nMemFree: 1 kB\n")
        self.assertEqual(self.vitals().memory_limit(), 2000 * 1024)
        self.write("proc/self/cgroup", "0::/a/b\n")
        self.write("sys/fs/cgroup/a/b/memory.max", "max\n")
        self.assertEqual(self.vitals().memory_limit(), 2000 * 1024)
        self.write("sys/fs/cgroup/a/memory.max", "1000000\n")
        self.assertEqual(self.vitals().memory_limit(), 1_000_000)
        self.write("sys/fs/cgroup/memory.max", "500000\n")
        self.assertEqual(self.vitals().memory_limit(), 500_000)
        self.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "400000\n")
        self.assertEqual(self.vitals().memory_limit(), 400_000)
