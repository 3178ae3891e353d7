"""Tests of tokens and links as methods."""

from __future__ import annotations

import os
from pathlib import Path

from anp_twisted.assistant.keyring import TOKENS_FILE, write_whole
from anp_twisted.errors import CredentialError
from anp_twisted.test.assistantlab import OWN_TOKEN, AssistantTests


class KeyringTests(AssistantTests):
    """Who may call."""

    def test_life(self) -> None:
        """A token is made, works, is rotated, outlives the process, and is revoked with what is connected by it."""
        admin = self.lab.client("root", "admin")
        made = admin.call("token.create", principal="bob")
        bob = self.lab.client(None)
        self.assertEqual(bob.call("connect", token=made["token"])["principal"], "bob")
        rotated = admin.call("token.rotate", token_id=made["token_id"])
        self.assertIsNotNone(rotated["old_valid_until"])
        lab = self.again()
        for secret in (made["token"], rotated["token"]):
            self.assertTrue(lab.client(None).call("connect", token=secret)["authenticated"])
        bob = lab.client(None)
        bob.call("connect", token=rotated["token"])
        admin = lab.client("root", "admin")
        self.assertEqual(admin.call("token.revoke", token_id=made["token_id"]), {"revoked": True, "connections": 3})
        self.assertEqual(bob.socket.closed, (4001, b"the token was revoked"))
        self.assertEqual(self.again().client(None).code("connect", token=rotated["token"]), -32001)

    def test_listed(self) -> None:
        """A list has no secrets."""
        admin = self.lab.client("root", "admin")
        secret = admin.call("token.create", principal="bob", role="admin")["token"]
        listed = admin.call("token.list")["tokens"]
        self.assertEqual([one["principal"] for one in listed], ["admin", "root", "bob"])
        self.assertNotIn(secret, str(listed))

    def test_file(self) -> None:
        """The file holds no secret, and is its owner's alone."""
        secret = self.lab.client("root", "admin").call("token.create", principal="bob")["token"]
        path = Path(self.folder, TOKENS_FILE)
        self.assertNotIn(secret, path.read_text())
        self.assertNotIn(OWN_TOKEN, path.read_text())
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        os.chmod(path, 0o644)
        self.assertRaises(CredentialError, self.lab.keyring.load, OWN_TOKEN)
        os.chmod(path, 0o600)
        path.write_text("{")
        self.assertRaises(CredentialError, self.lab.keyring.load, OWN_TOKEN)

    def test_own(self) -> None:
        """The operator's token can be rotated where it has a file, and never be revoked."""
        admin = self.lab.client("root", "admin")
        self.assertEqual(admin.code("token.revoke", token_id="admin"), -32003)
        secret = admin.call("token.rotate", token_id="admin")["token"]
        self.assertEqual(Path(self.folder, "own.token").read_text(), f"{secret}\n")
        for one in (secret, OWN_TOKEN):
            self.assertTrue(self.lab.client(None).call("connect", token=one)["authenticated"])
        self.lab.keyring._own = ""
        self.assertEqual(admin.code("token.rotate", token_id="admin"), -32003)

    def test_links(self) -> None:
        """A link is good for one token of whoever made it."""
        link = self.lab.client().call("token.link")["link"]
        page = self.lab.client(None)
        connected = page.call("connect", link=link)
        self.assertEqual((connected["principal"], connected["role"]), ("bob", "user"))
        self.assertTrue(self.lab.client(None).call("connect", token=connected["token"])["authenticated"])
        self.assertEqual(self.lab.client(None).code("connect", link=link), -32001)
        self.assertEqual(self.lab.client(None).code("connect", link="x", token="y"), -32602)

    def test_notKept(self) -> None:
        """A token that could not be kept is none."""
        admin = self.lab.client("root", "admin")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        before = len(self.lab.keyring.tokens.listed())
        self.assertEqual(admin.code("token.create", principal="bob"), -32603)
        self.assertEqual(len(self.lab.keyring.tokens.listed()), before)
        self.assertEqual(os.listdir(self.folder), ["sessions"])

    def test_unknown(self) -> None:
        """Ids that are none."""
        admin = self.lab.client("root", "admin")
        self.assertEqual(admin.code("token.rotate", token_id="x"), -32004)
        self.assertFalse(admin.call("token.revoke", token_id="x")["revoked"])

    def test_identify(self) -> None:
        """A field is a bearer token or nothing."""
        identify = self.lab.keyring.identify
        self.assertIsNotNone(identify(b"Bearer " + OWN_TOKEN.encode()))
        for wrong in (OWN_TOKEN.encode(), b"Basic " + OWN_TOKEN.encode(), b"", b"Bearer", b"Bearer \xff"):
            self.assertIsNone(identify(wrong))


class WholeTests(AssistantTests):
    """Files that are replaced."""

    def test_whole(self) -> None:
        """The new one, or the old one."""
        path = os.path.join(self.folder, "file")
        write_whole(path, b"one")
        write_whole(path, b"two")
        self.assertEqual(Path(path).read_bytes(), b"two")
        self.assertEqual(sorted(os.listdir(self.folder)), ["file", "sessions"])
