"""
What the settings of every command begin with.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from anp_twisted.config import kinds
from anp_twisted.config.schema import Places, setting
from anp_twisted.limits import DEFAULT_LIMITS, MIB

_CAPS = DEFAULT_LIMITS


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What each command has: where its secrets, its log and its configuration are."""

    state_dir: str = setting(kinds.DIRECTORY, "Where receiver.token is kept; created with mode 0700.", "anp-state")
    token_file: str | None = setting(
        kinds.FILE, "Reads the receivers' token from this file instead of the one in --state-dir.", None
    )
    token: str | None = setting(
        kinds.SECRET,
        "The receivers' token itself. Never an option: others can read arguments.",
        None,
        Places.NOT_BY_ARGV,
    )
    drain: float = setting(kinds.SECONDS, "After SIGTERM, how long running requests may take to end.", _CAPS.drain)
    log_file: str | None = setting(kinds.FILE, "Writes the log to this file, and rotates it, instead of stderr.", None)
    log_file_size: int = setting(kinds.SIZE, "Size at which the log file is rotated.", 10 * MIB)
    log_file_count: int = setting(kinds.COUNT, "How many rotated log files are kept.", 5)
    log_level: str = setting(kinds.LEVEL, "Least level that is logged.", "info")
    config: str | None = setting(kinds.FILE, "Reads a TOML file with settings.", None, Places.NOT_IN_FILE)
