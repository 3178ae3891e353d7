"""
The public front under atheris: C{python -m tests.fuzz.front [options of libFuzzer]}.

Atheris is no dependency: it has no builds for every Python, and what it finds becomes a row of C{tests/front_rows.py}.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["anp_twisted.http", "anp_twisted.headers"]):
    from tests.front_rows import ROWS
    from tests.fuzz.compare import NEXT, by_front, disagreement, outcome

_LONGEST_SEED = 2000


def one_input(data: bytes) -> None:
    """
    Judge one input.

    @raise AssertionError: for a disagreement.
    """
    data += NEXT
    assert not disagreement(data), disagreement(data)
    assert outcome(by_front(data)) == outcome(by_front(data, 1)), "the way the bytes are cut makes a difference"


def main() -> None:
    """Start from the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        for number, row in enumerate(ROWS):
            if len(row.sent) < _LONGEST_SEED:
                Path(folder, str(number)).write_bytes(row.sent)
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
