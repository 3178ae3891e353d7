"""Tests for L{anp_twisted.assistant.chat.command}."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.chat.command import address_of, page_of, parser, token_of, wish_of
from anp_twisted.errors import CredentialError, SettingsError


class OptionTests(SynchronousTestCase):
    """From what was typed to what is wanted."""

    def test_addresses(self) -> None:
        """The address of the page is as good as that of the WebSocket, with a prefix, too."""
        for text, url, page in (
            ("ws://127.0.0.1:8080/ws", "ws://127.0.0.1:8080/ws", "http://127.0.0.1:8080/"),
            ("http://localhost:8080", "ws://localhost:8080/ws", "http://localhost:8080/"),
            ("https://a.example/home/", "wss://a.example:443/home/ws", "https://a.example:443/home/"),
        ):
            address = address_of(text, insecure=False)
            self.assertEqual((address.url, page_of(address)), (url, page))

    def test_inTheClear(self) -> None:
        """A token is not sent in the clear to another machine, unless somebody insists; a query is no address."""
        self.assertRaises(SettingsError, address_of, "http://a.example/", insecure=False)
        self.assertFalse(address_of("http://a.example/", insecure=True).secure)
        self.assertRaises(SettingsError, address_of, "https://a.example/?token=x", insecure=True)

    def token(self, *arguments: str, **environment: str) -> str:
        """The token that is found."""
        return token_of(parser().parse_args(arguments), environment).read()

    def test_token(self) -> None:
        """An option goes before the environment, a token before its file; else there is the state folder."""
        for name in ("option", "variable", "assistant.token"):
            with open(name, "w", opener=lambda path, flags: os.open(path, flags, 0o600), encoding="ascii") as file:
                file.write(f"in-{name}\n")
            self.addCleanup(os.remove, name)
        found = [
            self.token("--token-file=option", ANP_TOKEN="given", ANP_TOKEN_FILE="variable"),
            self.token(ANP_TOKEN="given", ANP_TOKEN_FILE="variable"),
            self.token(ANP_TOKEN_FILE="variable"),
            self.token("--state-dir=."),
            self.token(ANP_STATE_DIR="."),
        ]
        self.assertEqual(found, ["in-option", "given", "in-variable", "in-assistant.token", "in-assistant.token"])
        self.assertRaises(CredentialError, self.token)

    def test_wishes(self) -> None:
        """Text is said, what is piped in as well; without both there is a conversation."""
        address = address_of("http://localhost:1/", insecure=False)

        def wish(*arguments: str, piped: str | None = None) -> tuple[object, ...]:
            found = wish_of(parser().parse_args(arguments), address, lambda: piped)
            return found.text, found.look, found.session

        self.assertEqual(wish("hello", "there"), ("hello there", "", "main"))
        self.assertEqual(wish("--session=s", piped="text"), ("text", "", "s"))
        self.assertEqual(wish(), (None, "", "main"))
        self.assertEqual(
            [wish(f"--{look}")[1] for look in ("sessions", "history", "delete", "link")],
            ["sessions", "history", "delete", "link"],
        )
        decided = wish_of(parser().parse_args(["--approve", "AB"]), address, str)
        self.assertEqual((decided.look, decided.code), ("approve", "AB"))
        self.assertRaises(SettingsError, wish, piped="")
        counts = [
            wish_of(parser().parse_args(["--history", *more]), address, str).count
            for more in ([], ["5"], ["0"], ["999"])
        ]
        self.assertEqual(counts, [20, 5, 1, 200])
