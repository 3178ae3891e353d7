"""Tests for L{anp_twisted.assistant.channels.build}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.build import maker, methods_of, new_code
from anp_twisted.assistant.channels.interface import ChannelFailed, Port
from anp_twisted.assistant.channels.pairing import ALPHABET, CODE_LENGTH, plain
from anp_twisted.assistant.methods import METHODS
from anp_twisted.errors import AppImportError
from anp_twisted.test.channellab import FakeChannel, FakeService

HERE = "python:anp_twisted.test.test_assistant_channels_build:"
NOTHING: Any = None


def make(name: str, port: Port) -> FakeChannel:
    """Make a channel, as a module of an operator does."""
    return FakeService().make(name, port)


def make_nothing(name: str, port: Port) -> object:
    """Make what is no channel."""
    return object()


class MakerTests(SynchronousTestCase):
    """What the settings name."""

    def test_make(self) -> None:
        """A callable makes channels of their names."""
        self.assertEqual(maker(f"{HERE}make", ".")("fake", NOTHING).name, "fake")

    def test_nothingOfThatName(self) -> None:
        """What is not there, or cannot be called with a name and a port, is told before anything starts."""
        for name in ("nothing", "HERE", "MakerTests.__str__"):
            self.assertRaises(AppImportError, maker, f"{HERE}{name}", ".")

    def test_noChannel(self) -> None:
        """What lacks a part of the interface is no channel."""
        self.assertRaises(ChannelFailed, maker(f"{HERE}make_nothing", "."), "fake", NOTHING)

    def test_codes(self) -> None:
        """A code is of letters that can be read aloud, and typed in any case."""
        codes = {new_code() for _ in range(50)}
        self.assertEqual(len(codes), 50)
        for code in codes:
            self.assertEqual((len(code), set(code) - set(ALPHABET), plain(code.lower())), (CODE_LENGTH, set(), code))

    def test_methods(self) -> None:
        """Each method of channels and pairing is implemented."""
        named = {name for name in METHODS if name.startswith(("channel.", "pairing."))}
        self.assertEqual(set(methods_of(NOTHING)), named)
