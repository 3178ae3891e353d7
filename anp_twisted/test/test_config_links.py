"""Rules of L{anp_twisted.config.links}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.links import INTERVAL
from anp_twisted.config.schema import settings_of
from anp_twisted.config.tables import GatewaySettings, ReceiverSettings
from anp_twisted.limits import DEFAULT_LIMITS, KIB


class LinkSettingsTests(SynchronousTestCase):
    """From settings to caps."""

    def test_defaults(self) -> None:
        """Without a word, nothing changes."""
        limits = GatewaySettings().limits()
        for name in ("ping_after", "dead_after", "data", "v1_beat", "v1_part", "v1_request_chunks", "v1_capacity"):
            self.assertEqual(getattr(limits, name), getattr(DEFAULT_LIMITS, name), name)

    def test_told(self) -> None:
        """A shorter interval finds a dead peer sooner; a longer one never pings peers of version 1 too late."""
        short = ReceiverSettings(app=("a:b",), ping_interval=4.0, chunk_size=8 * KIB, reconnect_delay=5.0).limits()
        self.assertEqual((short.ping_after, short.dead_after, short.v1_beat, short.data), (4.0, 10.0, 4.0, 8 * KIB))
        self.assertEqual((short.reconnect_first, short.reconnect_most), (5.0, DEFAULT_LIMITS.reconnect_most))
        long = GatewaySettings(ping_interval=40.0, v1_frame_limit=65536, v1_request_chunks=3, v1_capacity=9).limits()
        self.assertEqual((long.dead_after, long.v1_beat), (100.0, 10.0))
        self.assertEqual((long.v1_part, long.v1_request_chunks, long.v1_capacity), (65536, 3, 9))

    def test_refused(self) -> None:
        """What no link could live with."""
        for text in ("0.5", "61", "-1", "x"):
            self.assertRaises(ValueError, INTERVAL.from_text, text)
        chunk = settings_of(GatewaySettings)["chunk_size"].kind
        for value in (1023, 64 * KIB + 1, True, "1GiB"):
            self.assertRaises(ValueError, chunk.from_toml, value)
        self.assertEqual(chunk.from_text("4KiB"), 4096)
