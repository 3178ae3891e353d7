"""
What the operating system knows of this process: memory and descriptors, and how much of them there may be.

Linux tells by C{/proc}. Elsewhere memory is not known, and descriptors are counted.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """
    The figures of this process; 0 is what nobody can tell.

    It keeps one file open, since a process without descriptors can open none, and
    is to be made when the process is the one that will stay: after a daemon has forked.
    """

    def __init__(self, root: str = "/") -> None:
        """
        @param root: where the file systems of the kernel are found.
        """
        self._root = Path(root)
        self._folders = [str(self._root / "proc/self/fd"), str(self._root / "dev/fd")]
        try:
            self._statm: int | None = os.open(self._root / "proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._statm = None

    def close(self) -> None:
        """Let go of the file."""
        if self._statm is not None:
            os.close(self._statm)
            self._statm = None

    def memory(self) -> int:
        """
        @return: resident bytes.
        """
        return 0 if self._statm is None else int(os.pread(self._statm, 256, 0).split()[1]) * _PAGE

    def descriptors(self) -> int:
        """
        @return: open descriptors.
        """
        for folder in self._folders:
            try:
                # Linux 6.2 and later: the size is their number, which costs neither time nor a descriptor.
                size = os.stat(folder).st_size if "/proc/" in folder else 0
                return size or len(os.listdir(folder))
            except OSError:
                continue
        return 0

    def descriptor_limit(self) -> int:
        """
        @return: how many descriptors this process may have.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return 0 if soft == resource.RLIM_INFINITY else soft

    def memory_limit(self) -> int:
        """
        @return: what the machine has, or the control groups of this process, whichever is least, in bytes.
        """
        return min([*self._of_groups(), *self._of_machine()], default=0)

    def _of_groups(self) -> list[int]:
        """The limits of the control groups, of either version."""
        base = self._root / "sys/fs/cgroup"
        files = [base / "memory/memory.limit_in_bytes", base / "memory.max"]
        for line in _text(self._root / "proc/self/cgroup").splitlines():
            number, _, path = line.partition("::")
            group = base / path.lstrip("/")
            if number == "0" and ".." not in path:
                files += [folder / "memory.max" for folder in (group, *group.parents) if base in folder.parents]
        return [int(text) for text in map(_text, files) if text.isdigit()]

    def _of_machine(self) -> list[int]:
        """The memory of the machine."""
        words = _text(self._root / "proc/meminfo").split()
        return [int(words[1]) * 1024] if words[:1] == ["MemTotal:"] else []


def _text(path: Path) -> str:
    """What is in a file of the kernel, nothing if there is none."""
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
