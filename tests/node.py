"""
Programs of others that run on Node.js, installed once for each run of the tests, outside of the checkout.

Their versions are those of the lock file in C{tests/npm}.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from unittest import SkipTest

PACKAGES = Path(__file__).resolve().parent / "npm"
_SECONDS = 120.0


@lru_cache(maxsize=1)
def _installed() -> Path | str:
    """
    @return: the folder with C{node_modules}, or why there is none.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "Node.js is not installed"
    folder = Path(tempfile.mkdtemp(prefix="anp-npm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in PACKAGES.iterdir():
        shutil.copy(file, folder)
    # Nothing of the packages runs while they are installed, and what is optional is compiled code.
    command = [npm, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "npm did not install its packages in time"
    return folder if done.returncode == 0 else f"npm could not install its packages: {done.stderr[-500:]}"


def node_folder() -> Path:
    """
    @return: a folder in which scripts find the packages.
    @raise SkipTest: they cannot be had here.
    """
    found = _installed()
    if isinstance(found, str):
        raise SkipTest(found)
    return found


def node() -> str:
    """
    @return: the interpreter.
    """
    found = shutil.which("node")
    assert found is not None
    return found
