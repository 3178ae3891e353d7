"""Tests of encryption."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.records import Answered, Codec, Damaged
from anp_twisted.assistant.sealing import Sealer, read_key
from anp_twisted.errors import CredentialError
from anp_twisted.test.assistantlab import AssistantTests, Lab

KEY = bytes(range(32))


def codec(key: bytes = KEY) -> Codec:
    """Make one with a key."""
    sealer = Sealer(key)
    return Codec(sealer.seal, sealer.unseal)


class SealTests(SynchronousTestCase):
    """Lines."""

    def setUp(self) -> None:
        """Make a record."""
        self.record = Answered(seq=3, id="a", ts=1.0, run_id="r", text="canary")
        self.line = codec().line(self.record, "s")[:-1]

    def test_roundTrip(self) -> None:
        """With the key the record comes back, and nothing of it shows."""
        self.assertNotIn(b"canary", self.line)
        self.assertEqual(codec().read(self.line, 3, "s"), self.record)
        self.assertEqual(codec().read_last(self.line, "s"), self.record)
        self.assertNotEqual(codec().line(self.record, "s")[:-1], self.line)

    def test_bound(self) -> None:
        """Elsewhere, in another session, changed, with another key or with none, it cannot be read."""
        for seq, session in ((4, "s"), (3, "t")):
            self.assertIsInstance(codec().read(self.line, seq, session), Damaged)
        for place in range(11, len(self.line) - 10, 7):
            changed = self.line[:place] + bytes([self.line[place] ^ 1]) + self.line[place + 1 :]
            self.assertIsInstance(codec().read(changed, 3, "s"), Damaged)
        self.assertIsInstance(codec(bytes(32)).read(self.line, 3, "s"), Damaged)
        self.assertIsInstance(Codec().read(self.line, 3, "s"), Damaged)


class KeyTests(SynchronousTestCase):
    """Files with keys."""

    def test_read(self) -> None:
        """The key in base64, in a file of its owner's alone."""
        path = Path(self.mktemp())
        path.write_bytes(b64encode(KEY) + b"\n")
        path.chmod(0o600)
        self.assertEqual(read_key(str(path)), KEY)
        path.chmod(0o640)
        self.assertRaises(CredentialError, read_key, str(path))

    def test_refused(self) -> None:
        """Anything else is refused, without a word of what is in it."""
        path = Path(self.mktemp())
        for content in (b"", b"canary", b64encode(KEY[:-1]), b64encode(KEY + b"x")):
            path.write_bytes(content)
            path.chmod(0o600)
            error = self.assertRaises(CredentialError, read_key, str(path))
            self.assertNotIn("canary", str(error))
        self.assertRaises(CredentialError, read_key, "/nowhere")
        self.assertRaises(CredentialError, read_key, "/dev")


class SessionTests(AssistantTests):
    """Whole sessions."""

    def fill(self, lab: Lab) -> None:
        """Say something and have it answered."""
        lab.client().call("chat.send_stream", text="canary-q", session_key="s")
        lab.agents.runs[-1].answer("canary-a")

    def test_atRest(self) -> None:
        """Nothing that was said is in the files, and with the key all of it is there."""
        self.fill(Lab(self.folder, codec=codec()))
        for path in self.files():
            self.assertNotIn(b"canary", Path(path).read_bytes())
        again = Lab(self.folder, codec=codec())
        told = again.client().call("chat.history", session_key="s")["messages"]
        self.assertEqual([one["text"] for one in told], ["canary-q", "canary-a"])

    def test_wrongKey(self) -> None:
        """Without the key nothing starts, so that nothing is written behind what cannot be read."""
        self.fill(Lab(self.folder, codec=codec()))
        before = [Path(path).read_bytes() for path in self.files()]
        for wrong in (Codec(), codec(os.urandom(32))):
            self.assertRaises(CredentialError, Lab, self.folder, codec=wrong)
        self.assertEqual([Path(path).read_bytes() for path in self.files()], before)

    def test_later(self) -> None:
        """Sessions from before the key go on, encrypted from there."""
        self.fill(self.lab)
        self.fill(Lab(self.folder, codec=codec()))
        told = Lab(self.folder, codec=codec()).client().call("chat.history", session_key="s")["messages"]
        self.assertEqual([one["text"] for one in told], ["canary-q", "canary-a"] * 2)
