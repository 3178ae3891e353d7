"""Rules of L{anp_twisted.auth.tokens}."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth import tokens
from anp_twisted.auth.bearer import is_token
from anp_twisted.auth.tokens import (
    FileToken,
    FixedToken,
    create_or_read,
    new_token,
    read_or_make,
    read_token,
    source_of,
    token_path,
)
from anp_twisted.errors import CredentialError


class Base(SynchronousTestCase):
    """Files with modes."""

    def write(self, data: bytes, mode: int = 0o600) -> str:
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def refused(self, call: Callable[[], object]) -> str:
        with self.assertRaises(CredentialError) as caught:
            call()
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        self.assertNotIn("geheim", text)
        return text


class ReadTests(Base):
    """A token from a file, or one line that says why not."""

    def test_alone(self) -> None:
        """The token alone, with or without a line end."""
        for data in (b"abc", b"abc\n", b"abc\r\n"):
            self.assertEqual(read_token(self.write(data)), "abc")

    def test_othersCanRead(self) -> None:
        """A file that group or others may touch is refused."""
        for mode in (0o640, 0o604, 0o644, 0o620, 0o601):
            path = self.write(b"geheim", mode)
            self.assertIn(f"chmod 600 {path}", self.refused(partial(read_token, path)))

    def test_noToken(self) -> None:
        """What is no token is refused: nothing, two lines, other characters, too much."""
        for data in (b"", b"\n", b"geheim geheim", b"geheim\ngeheim\n", b"geheim\xff", b"geheim" * 1000):
            path = self.write(data)
            self.assertIn("does not hold a token alone", self.refused(partial(read_token, path)))

    def test_missing(self) -> None:
        """A missing file, a folder, a pipe: refused at once."""
        path = self.mktemp()
        self.assertIn("No such file", self.refused(lambda: read_token(path)))
        os.mkdir(path, 0o700)
        self.assertIn("is not a file", self.refused(lambda: read_token(path)))
        pipe = self.mktemp()
        os.mkfifo(pipe, 0o600)
        self.assertIn("is not a file", self.refused(lambda: read_token(pipe)))


class CreateTests(Base):
    """The token of a state folder."""

    def test_first(self) -> None:
        """The first time folder and file are made, for their owner alone, whatever the umask."""
        folder = os.path.join(self.mktemp(), "anp-state")
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        token, made = create_or_read(folder)
        self.assertTrue(made)
        self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(token_path(folder)).st_mode), 0o600)
        self.assertEqual(os.listdir(folder), ["receiver.token"])
        with open(token_path(folder)) as file:
            self.assertEqual(file.read().strip(), token)

    def test_again(self) -> None:
        """Later it is read."""
        folder = self.mktemp()
        token, _ = create_or_read(folder)
        self.assertEqual(create_or_read(folder), (token, False))

    def test_race(self) -> None:
        """Of two processes at once both return the token of the faster one, and no draft is left."""
        folder = self.mktemp()

        def slower() -> str:
            # The other process is done after this one saw that there is no file.
            self.assertEqual(create_or_read(folder, lambda: "faster"), ("faster", True))
            return "slower"

        self.assertEqual(create_or_read(folder, slower), ("faster", False))
        self.assertEqual(os.listdir(folder), ["receiver.token"])

    def test_unsafeFolder(self) -> None:
        """A folder that others may write into is refused."""
        folder = self.mktemp()
        os.mkdir(folder)
        os.chmod(folder, 0o770)
        self.assertIn("chmod 700", self.refused(lambda: create_or_read(folder)))

    def test_unsafeFile(self) -> None:
        """An existing token that others can read is refused, not replaced."""
        folder = self.mktemp()
        create_or_read(folder, lambda: "geheim")
        os.chmod(token_path(folder), 0o644)
        self.assertIn("others can read", self.refused(lambda: create_or_read(folder)))

    def test_impossible(self) -> None:
        """Where a file is in the place of the folder, or the link cannot be made, it is said in one line."""
        self.assertIn("cannot keep a token", self.refused(lambda: create_or_read(self.write(b""))))

        def no_link(old: str, new: str) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "link", no_link)
        folder = self.mktemp()
        self.assertIn("Operation not permitted", self.refused(lambda: create_or_read(folder)))
        self.assertEqual(os.listdir(folder), [])

    def test_danglingLink(self) -> None:
        """A link that leads nowhere is not written through."""
        folder = self.mktemp()
        os.mkdir(folder, 0o700)
        os.symlink(os.path.join(folder, "elsewhere"), token_path(folder))
        self.assertIn("No such file", self.refused(lambda: create_or_read(folder)))

    def test_random(self) -> None:
        """Tokens differ, and can be sent."""
        self.assertNotEqual(new_token(), new_token())
        self.assertTrue(is_token(new_token()))


class SourceTests(Base):
    """Where a token comes from."""

    def test_order(self) -> None:
        """The token itself, else the file that is named, else the one of the state folder."""
        self.assertEqual(source_of(token="t", token_file="f", state_dir="s"), FixedToken("t"))
        self.assertEqual(source_of(token=None, token_file="f", state_dir="s"), FileToken("f"))
        self.assertEqual(source_of(token=None, token_file=None, state_dir="s"), FileToken("s/receiver.token"))

    def test_fixed(self) -> None:
        """A fixed token is checked at once, and not in the representation."""
        self.assertEqual(FixedToken("geheim").read(), "geheim")
        self.assertNotIn("geheim", repr(FixedToken("geheim")))
        self.refused(lambda: FixedToken("geheim geheim"))

    def test_rotation(self) -> None:
        """A file is read again each time."""
        path = self.write(b"one")
        source: tokens.TokenSource = FileToken(path)
        self.assertEqual(source.read(), "one")
        with open(path, "w") as file:
            file.write("two")
        self.assertEqual(source.read(), "two")

    def test_ofAGateway(self) -> None:
        """A gateway takes what it is given, makes what it is not, and says where that is but not what it is."""
        folder = self.mktemp()
        self.assertEqual(read_or_make(token="geheim", token_file=None, state_dir=folder)[0], "geheim")
        path = self.write(b"geheim")
        token, said = read_or_make(token=None, token_file=path, state_dir=folder)
        self.assertEqual(token, "geheim")
        self.assertIn(path, said)
        self.assertFalse(os.path.exists(folder))
        made, said = read_or_make(token=None, token_file=None, state_dir=folder)
        self.assertIn("was made", said)
        again, said = read_or_make(token=None, token_file=None, state_dir=folder)
        self.assertEqual(made, again)
        self.assertNotIn("was made", said)
        self.assertNotIn(made, said)
        missing = self.mktemp()
        self.refused(lambda: read_or_make(token=None, token_file=missing, state_dir=folder))

    def test_otherFiles(self) -> None:
        """A token may have a file of another name, beside the one of receivers."""
        folder = self.mktemp()
        first = create_or_read(folder)[0]
        other, made = create_or_read(folder, name="management.token")
        self.assertTrue(made and other != first)
        self.assertEqual(create_or_read(folder, name="management.token"), (other, False))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(folder, "management.token")).st_mode), 0o600)

    def test_handedOut(self) -> None:
        """A token that is handed out in a file is its owner's alone, and overwrites nothing."""
        path = self.mktemp()
        tokens.write_token(path, "geheim")
        self.assertEqual((read_token(path), stat.S_IMODE(os.stat(path).st_mode)), ("geheim", 0o600))
        self.refused(lambda: tokens.write_token(path, "other"))
        self.assertEqual(read_token(path), "geheim")
        self.refused(lambda: tokens.write_token("/no/such/folder/file", "geheim"))

    def test_sharedSecret(self) -> None:
        """A secret may have any characters; its file is read as strictly as that of a token."""
        self.assertEqual(tokens.read_secret(secret="a b", file=None), "a b")
        self.assertEqual(tokens.read_secret(secret=None, file=self.write(b"a b!\n")), "a b!")
        path = self.write(b"geheim", 0o640)
        self.assertIn("the secret", self.refused(lambda: tokens.read_secret(secret=None, file=path)))
        self.refused(lambda: tokens.read_secret(secret=None, file=self.mktemp()))
