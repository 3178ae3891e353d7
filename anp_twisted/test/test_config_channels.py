"""Rules of L{anp_twisted.config.channels}."""

from __future__ import annotations

import tomllib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.config.channels import ChannelSettings
from anp_twisted.config.resolve import resolve
from anp_twisted.errors import SettingsError


def read(text: str) -> Any:
    """The settings a file gives."""
    return resolve(AssistantSettings, options={}, environment={}, document=tomllib.loads(text), file="f").settings


class ChannelSettingsTests(SynchronousTestCase):
    """C{[assistant.channels.NAME]}."""

    def test_table(self) -> None:
        """Each channel has a name, what makes it, and who may write; without a word nobody may."""
        settings = read(
            '[assistant.channels.home]\nuse = "python:mine:make"\nallow = ["7", "8"]\n'
            '[assistant.channels.work]\nuse = "python:mine:Work.make"\n'
        )
        home, work = (
            ChannelSettings(use="python:mine:make", allow=("7", "8")),
            ChannelSettings(use="python:mine:Work.make"),
        )
        self.assertEqual((settings.channels, work.allow), ((("home", home), ("work", work)), ()))

    def test_mistakes(self) -> None:
        """A mistake is named with its place."""
        for text, words in (
            ('[assistant.channels.home]\nallow = ["7"]', "use"),
            ('[assistant.channels.home]\nuse = "mine:make"', "python:module:attribute"),
            ('[assistant.channels.home]\nuse = "python:mine"', "module:attribute"),
            ('[assistant.channels.home]\nuse = "python:mine:make"\nallow = [""]', "the id of a sender"),
            ('[assistant.channels.home]\nuse = "python:mine:make"\nother = 1', "unknown key"),
            ('[assistant.channels."a/b"]\nuse = "python:mine:make"', "letters"),
            ('[assistant.channels.ws]\nuse = "python:mine:make"', "ws"),
        ):
            self.assertIn(words, str(self.assertRaises(SettingsError, read, text)), text)
