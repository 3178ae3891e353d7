"""Rules of L{anp_twisted.cli.token}."""

from __future__ import annotations

import os
import stat

from anp_twisted.auth.tokens import read_token
from anp_twisted.cli import token
from anp_twisted.test.test_cli_registry import CommandTestCase


class TokenTests(CommandTestCase):
    """Create, rotate, revoke, list."""

    def listed(self) -> list[tuple[str, str]]:
        """Whose tokens there are, and until when."""
        lines = [line.split("  ") for line in self.run_command(token, "list")]
        return [(name, ends[:5]) for _, name, ends in lines]

    def test_create(self) -> None:
        """It is printed alone, and a line for people beside it names it without telling it."""
        (secret,) = self.run_command(token, "create", "ann", "--allow=/a", "--allow=h.example")
        self.assertGreaterEqual(len(secret), 43)
        self.assertRegex(self.error, r"\Atoken [0-9a-f]{12} of ann\n\Z")
        self.assertEqual(self.listed(), [("ann", "for e")])

    def test_out(self) -> None:
        """A file is new, its owner's alone, and what a receiver takes; one that is there is kept, and no token made."""
        path = self.mktemp()
        self.assertEqual(self.run_command(token, "create", "ann", "--allow=/a", "--expires=30d", "--out", path), [path])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        first = read_token(path)
        self.assertIn("is there already", self.refused(token, "create", "bob", "--allow=/b", "--out", path))
        self.assertIn("is there already", self.refused(token, "rotate", "ann", "--out", path))
        self.assertEqual((self.listed(), read_token(path)), ([("ann", "until")], first))

    def test_refused(self) -> None:
        """One line, and nothing was made."""
        self.run_command(token, "create", "ann", "--allow=/a")
        rows = {
            ("create", "ann", "--allow=/b"): "has a token already",
            ("create", "bob"): "owns no place",
            ("create", "bob", "--allow=/a"): "belongs to ann",
            ("create", "bob", "--allow=https://b"): "the place",
            ("create", "receiver", "--allow=/b"): "taken by another way",
            ("rotate", "bob"): "has no token",
            ("revoke", "bob"): "has no token",
        }
        for arguments, why in rows.items():
            self.assertIn(why, self.refused(token, *arguments))
        self.assertEqual(self.listed(), [("ann", "for e")])

    def test_rotate(self) -> None:
        """Both for a while, or at once the new one alone."""
        (first,) = self.run_command(token, "create", "ann", "--allow=/a")
        (second,) = self.run_command(token, "rotate", "ann", "--overlap=1h")
        self.assertEqual(self.listed(), [("ann", "until"), ("ann", "for e")])
        (third,) = self.run_command(token, "rotate", "ann", "--overlap=0s", "--expires=1d")
        self.assertEqual(self.listed(), [("ann", "until")])
        self.assertEqual(len({first, second, third}), 3)

    def test_revoke(self) -> None:
        """One by its id, or all by the name."""
        self.run_command(token, "create", "ann", "--allow=/a")
        self.run_command(token, "rotate", "ann")
        number = self.run_command(token, "list")[0].split()[0]
        self.assertEqual(self.run_command(token, "revoke", number), ["1 revoked"])
        self.assertEqual(self.run_command(token, "revoke", "ann"), ["1 revoked"])
        self.assertEqual(self.listed(), [])
