"""Rules of L{anp_twisted.config.document}."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config import document
from anp_twisted.config.document import read_document
from anp_twisted.errors import CredentialError, SettingsError


class DocumentTests(SynchronousTestCase):
    """The settings file, read or refused in one line."""

    def write(self, data: bytes, mode: int = 0o644) -> str:
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def test_read(self) -> None:
        """What is in it."""
        self.assertEqual(read_document(self.write(b'port = 1\n[receiver]\napp = "m:app"\n')), {
            "port": 1, "receiver": {"app": "m:app"},
        })  # fmt: skip

    def test_unreadable(self) -> None:
        """A file that cannot be read, or is no TOML, is named in one line."""
        missing = self.mktemp()
        for path, words in (
            (missing, "No such file"),
            (os.path.dirname(os.path.abspath(missing)), "directory"),
            (self.write(b"port = \n"), "not TOML"),
            (self.write(b"\xff"), "not UTF-8"),
            (self.write(b"a = " + b"[" * 5000), "not TOML"),
            (self.write(b"#" * (document._LARGEST + 1)), "larger than"),
        ):
            with self.assertRaisesRegex(SettingsError, words) as caught:
                read_document(path)
            self.assertIn(path, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_tokenThatOthersCanRead(self) -> None:
        """A file with a token, at the top or in a section, must be its owner's alone."""
        for data in (b'token = "geheim"', b'[receiver]\ntoken = "geheim"'):
            with self.assertRaisesRegex(CredentialError, "chmod 600") as caught:
                read_document(self.write(data, 0o640))
            self.assertNotIn("geheim", str(caught.exception))
            self.assertIn("geheim", repr(read_document(self.write(data, 0o600))))

    def test_passwordThatOthersCanRead(self) -> None:
        """So must one with the password of a proxy; a proxy without is no secret."""
        data = b'[receiver]\nproxy = "http://me:geheim@proxy.example"'
        with self.assertRaisesRegex(CredentialError, "the password of a proxy .*chmod 600") as caught:
            read_document(self.write(data, 0o644))
        self.assertNotIn("geheim", str(caught.exception))
        read_document(self.write(data, 0o600))
        read_document(self.write(b'proxy = "http://proxy.example"', 0o644))

    def test_otherSecrets(self) -> None:
        """The password of a database and a shared secret are secrets, however the key is spelled."""
        for data, what in (
            (b'[gateway]\ndatabase = "mysql://me:geheim@h/d"', "the password of a database"),
            (b'shared_secret = "geheim"', "a secret"),
            (b'[receiver]\nshared-secret = "geheim"', "a secret"),
        ):
            with self.assertRaisesRegex(CredentialError, f"{what} .*chmod 600") as caught:
                read_document(self.write(data, 0o640))
            self.assertNotIn("geheim", str(caught.exception))
            read_document(self.write(data, 0o600))
        read_document(self.write(b'database = "sqlite:///a.db"', 0o644))
