"""
Tests for L{anp_twisted.session.events}.
"""

from __future__ import annotations

import gc
from typing import get_args
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.session import events
from anp_twisted.session.events import RequestReceived
from anp_twisted.test.sessions import connected


class Owner:
    """Something behind a stream that keeps what it was told."""

    told: object = None


class EventTests(SynchronousTestCase):
    """The vocabulary, and what becomes of it."""

    def test_union_is_complete(self) -> None:
        """Each class of the module is part of C{Event}."""
        classes = {
            value for value in vars(events).values() if isinstance(value, type) and value.__module__ == events.__name__
        }
        self.assertEqual(set(get_args(events.Event)), classes)

    def test_a_kept_event_is_no_leak(self) -> None:
        """An owner that keeps an event of its own stream is collected with it."""
        link = connected()
        link.open()
        link.settle()
        [event] = link.receiver.taken()
        assert isinstance(event, RequestReceived)
        event.stream.owner = owner = Owner()
        owner.told = event
        watch = ref(owner)
        del event, owner, link
        gc.collect()
        self.assertIsNone(watch())
