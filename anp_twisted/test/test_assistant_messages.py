"""Tests of the messages."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.messages import InboundMessage, Media, OutboundMessage


class MessageTests(SynchronousTestCase):
    """What goes over the bus."""

    def test_roundTrip(self) -> None:
        """Both kinds come out of JSON as they went in."""
        picture = Media(kind="image", url="https://example.com/a.png", size=7)
        inbound = InboundMessage(
            channel="cli",
            sender_id="u",
            chat_id="c",
            content="你好",
            timestamp=1.5,
            media=(picture,),
            metadata={"a": 1},
        )
        outbound = OutboundMessage(channel="cli", chat_id="c", content="x", reply_to="m", id="d")
        for message in (inbound, outbound):
            encoded = msgspec.json.encode(message)
            self.assertEqual(msgspec.json.decode(encoded, type=type(message)), message)

    def test_mediaIsChecked(self) -> None:
        """Only known kinds, and nothing that is not described."""
        for wrong in ({"kind": "virus", "url": "x"}, {"kind": "file"}, {"kind": "file", "url": "x", "path": "/etc"}):
            self.assertRaises(msgspec.ValidationError, msgspec.convert, wrong, Media)
