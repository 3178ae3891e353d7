"""Tests of L{anp_twisted.receiver.bridge.bell}."""

from __future__ import annotations

import asyncio

from twisted.trial.unittest import TestCase

from anp_twisted.receiver.bridge import Bell
from anp_twisted.test.receiver_rig import on_loop, the_loop


class BellTests(TestCase):
    """Coroutines that wait."""

    @on_loop
    async def test_ring(self) -> None:
        """Everyone who waits goes on, in a later turn; a ring that nobody hears is not remembered."""
        bell = Bell(the_loop())
        heard: list[int] = []

        async def wait(number: int) -> None:
            await bell.wait()
            heard.append(number)

        bell.ring()
        tasks = [the_loop().create_task(wait(number)) for number in range(2)]
        await asyncio.sleep(0)
        self.assertEqual(heard, [])
        bell.ring()
        bell.ring()
        self.assertEqual(heard, [])
        await asyncio.gather(*tasks)
        self.assertEqual(sorted(heard), [0, 1])

    @on_loop
    async def test_cancelled(self) -> None:
        """One that waits no longer leaves nothing behind, and does not disturb the others."""
        bell = Bell(the_loop())
        gone, stays = (the_loop().create_task(bell.wait()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        bell.ring()
        await stays
        self.assertTrue(gone.cancelled())
        self.assertEqual(bell._waiting, set())
