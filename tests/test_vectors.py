"""
The recorded frames in C{tests/vectors}: read, and written again.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameError, FrameTooLarge
from anp_twisted.wire import v1, v2

FOLDER = Path(__file__).parent / "vectors"
MOST = 1024 * 1024


def load() -> dict[str, tuple[dict[str, Any], bytes]]:
    """All vectors by name: description and bytes."""
    return {
        path.stem: (json.loads(path.read_text("utf-8")), path.with_suffix(".bin").read_bytes())
        for path in sorted(FOLDER.glob("*.json"))
    }


def value(shown: dict[str, Any]) -> v1.Frame | v2.Frame:
    """What a description stands for."""
    meta = bytes.fromhex(shown["meta_hex"]) if "meta_hex" in shown else None
    if shown["meta"] is not None:
        meta = shown["meta"].encode()
    body = bytes.fromhex(shown["body_hex"])
    if shown["version"] == 2:
        return v2.Frame(shown["type"], shown["stream"], shown["end"], meta, body)
    chunk = None if shown["chunk"] is None else v1.Chunk(**shown["chunk"])
    return v1.Frame(shown["type"], shown["request_id"], meta, body, chunk)


def decode(version: int, raw: bytes) -> v1.Frame | v2.Frame:
    """Read a frame of the version that was agreed on."""
    return v1.decode(raw, MOST) if version == 1 else v2.decode(raw, MOST)


class VectorTests(SynchronousTestCase):
    """Two implementations of one text agree."""

    def setUp(self) -> None:
        """Load them; there must be some of each sort."""
        self.vectors = load()
        self.assertGreater(len(self.vectors), 50)

    def test_files_belong_together(self) -> None:
        """Each description has its bytes and each file of bytes its description."""
        self.assertEqual({path.stem for path in FOLDER.glob("*.bin")}, set(self.vectors))

    def test_every_type(self) -> None:
        """There is a sound frame of each type of each version."""
        seen = {(shown["version"], shown["type"]) for shown, _ in self.vectors.values() if shown["valid"]}
        self.assertEqual(seen, {(1, kind) for kind in v1.Kind} | {(2, kind) for kind in v2.Kind})

    def test_decode(self) -> None:
        """Sound bytes mean what their description says."""
        for name, (shown, raw) in self.vectors.items():
            if shown["valid"]:
                self.assertEqual(decode(shown["version"], raw), value(shown), name)

    def test_encode(self) -> None:
        """The value of a description makes its bytes, where there is only one way to write it."""
        for name, (shown, raw) in self.vectors.items():
            if shown["valid"] and shown["canonical"]:
                frame = value(shown)
                made = v1.encode(frame) if isinstance(frame, v1.Frame) else v2.encode_frame(frame)
                self.assertEqual(made, raw, name)

    def test_refused(self) -> None:
        """Unsound bytes are refused, with the error that is named."""
        for name, (shown, raw) in self.vectors.items():
            if not shown["valid"]:
                error = self.assertRaises(FrameError, decode, shown["version"], raw)
                self.assertEqual(isinstance(error, FrameTooLarge), shown["error"] == "too-large", name)

    def test_recorded(self) -> None:
        """The files are what the script beside them writes."""
        made = runpy.run_path(str(FOLDER / "record.py"))["vectors"]()
        self.assertEqual(self.vectors, made)
