"""Tests of the keys of sessions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.errors import Forbidden, InvalidParams
from anp_twisted.assistant.keys import SessionKey, from_file_name, of_message, parse, resolve
from anp_twisted.assistant.messages import InboundMessage

_PART = st.text(st.characters(exclude_categories=("C", "Z")), max_size=8)


def of(text: str, principal: str = "bob", *, admin: bool = False) -> str:
    """Resolve what a client wrote."""
    return str(resolve(text, principal=principal, admin=admin, agent="default"))


class KeyTests(SynchronousTestCase):
    """Text forms."""

    @given(peer=_PART, thread=_PART)
    def test_roundTrip(self, peer: str, thread: str) -> None:
        """Whatever is in the parts, the text and the file's name lead back to the key."""
        key = SessionKey("a", "ws", "@bob", "direct", peer or "p", thread)
        self.assertEqual(parse(str(key)), key)
        self.assertEqual(from_file_name(key.file_name), key)

    def test_oneSpelling(self) -> None:
        """Two texts never name one session: that would be two files."""
        for text in ("a:ws:@bob:direct:x%3a:", "a:ws:@bob:direct:x%41:", "a:ws:@bob:direct:x%", "a:ws:@bob:direct::"):
            self.assertRaises(ValueError, parse, text)

    def test_hostile(self) -> None:
        """Nothing of a key can end a line of the log, or leave the folder."""
        for text in ("x\ny", "x\x00", "\u202ex", "x" * 200, "../../etc/passwd:a:b:c", "a:b:c:d", "a b:c"):
            self.assertRaises(InvalidParams, of, text)
        key = parse(of("../../etc/passwd"))
        self.assertNotIn("/", key.file_name)
        self.assertLessEqual(len(key.file_name), 255)

    def test_noSession(self) -> None:
        """Other files of the folder are none of ours."""
        for name in ("x.bad", "x", "%%%.jsonl", "YQ.jsonl", ".jsonl", "YQ.jsonl.bad"):
            self.assertRaises(ValueError, from_file_name, name)


class NamespaceTests(SynchronousTestCase):
    """Whose session a text means."""

    def test_shortForms(self) -> None:
        """The short forms are sessions of whoever writes them."""
        self.assertEqual(of("s"), "default:ws:@bob:direct:s:")
        self.assertEqual(of("telegram:chat456"), "default:telegram:@bob:direct:chat456:")
        self.assertEqual(of("telegram:user123:chat456"), "default:telegram:@bob:direct:user123:chat456")
        self.assertNotEqual(of("s", "alice"), of("s", "bob"))

    def test_fullForm(self) -> None:
        """The full form names any session, but only administrators may name those of others."""
        theirs = of("s", "alice")
        self.assertRaises(Forbidden, of, theirs)
        self.assertEqual(of(theirs, admin=True), theirs)
        self.assertEqual(of(of("s")), of("s"))
        self.assertRaises(Forbidden, of, "default:telegram:bot:direct:user123:")

    def test_namespacesNeverMeet(self) -> None:
        """A principal called like an account of a channel does not get its chats."""
        message = InboundMessage(
            channel="telegram",
            sender_id="u",
            chat_id="u",
            content="",
            timestamp=0,
            metadata={"account": "bob"},
        )
        self.assertNotEqual(str(of_message(message, "default")), of("telegram:u"))


class MessageTests(SynchronousTestCase):
    """Sessions of channels."""

    def key(self, **metadata: str) -> str:
        """The key of a message."""
        message = InboundMessage(
            channel="telegram", sender_id="u1", chat_id="c1", content="", timestamp=0, metadata=dict(metadata)
        )
        return str(of_message(message, "default"))

    def test_kinds(self) -> None:
        """A group is one session for all who write in it."""
        self.assertEqual(self.key(), "default:telegram:default:direct:u1:c1")
        self.assertEqual(self.key(kind="group"), "default:telegram:default:group:c1:")
        self.assertEqual(self.key(kind="group", thread="7"), "default:telegram:default:group:c1:7")

    def test_account(self) -> None:
        """No account of a channel gets into the namespace of a principal."""
        self.assertEqual(self.key(account="bot2"), "default:telegram:bot2:direct:u1:c1")
        self.assertRaises(ValueError, self.key, account="@bob")
