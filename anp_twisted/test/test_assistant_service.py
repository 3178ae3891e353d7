"""Tests of how the gateway starts and stops."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from anp_twisted.assistant.service import Agents, AssistantService
from anp_twisted.errors import SettingsError
from anp_twisted.test.assistantlab import AssistantTests


class ListenerOfTest:
    """Notes what it is told."""

    url = "http://127.0.0.1:1"

    def __init__(self, error: SettingsError | None = None) -> None:
        self.error = error
        self.told: list[str] = []

    def start(self) -> None:
        """Listen, or not."""
        if self.error is not None:
            raise self.error
        self.told.append("start")

    def stop(self) -> Deferred[None]:
        """Stop."""
        self.told.append("stop")
        return succeed(None)


class FactoryOfTest:
    """Has nothing that is idle."""

    def close_idle(self) -> None:
        """Close nothing."""


class ServiceTests(AssistantTests):
    """Start and stop."""

    def service(self, *listeners: ListenerOfTest) -> AssistantService:
        """Make one."""
        self.announced: list[str] = []
        self.closed: list[str] = []

        def note(word: str) -> Any:
            def told() -> Deferred[None]:
                self.closed.append(word)
                return succeed(None)

            return told

        service = AssistantService(
            self.lab.around,
            self.lab.conversations,
            self.lab.connections,
            Agents(note("stop"), note("close")),
            announce=self.announced.append,
        )
        service.factory = FactoryOfTest()  # type: ignore[assignment]
        for one in listeners:
            service.listen_on(one)  # type: ignore[arg-type]
        return service

    def test_start(self) -> None:
        """It is announced when everything listens."""
        service = self.service(ListenerOfTest(), ListenerOfTest())
        self.assertEqual(service.status(), "stopping")
        service.startService()
        self.assertEqual((self.announced, service.status()), (["http://127.0.0.1:1"], "ok"))

    def test_failedStart(self) -> None:
        """If one cannot listen none does."""
        good, bad = ListenerOfTest(), ListenerOfTest(SettingsError("taken"))
        service = self.service(good, bad)
        self.assertRaises(SettingsError, service.startService)
        self.assertEqual((good.told, self.announced), (["start", "stop"], []))

    def test_drains(self) -> None:
        """Answers may become complete; nothing new is taken; everybody hears the end."""
        service = self.service(ListenerOfTest())
        service.startService()
        bob = self.lab.client()
        number = bob.ask("chat.send", text="q", session_key="s")
        stopped = service.stopService()
        self.lab.advance(1)
        self.assertEqual(bob.code("chat.send", text="q", session_key="s"), -32030)
        self.assertIsNone(bob.socket.closed)
        self.lab.agents.runs[0].answer("a")
        self.lab.advance(1)
        self.assertEqual(bob.answered(number)["result"]["text"], "a")
        self.assertEqual(bob.socket.closed, (1001, b"the server stops"))
        bob.connection.socket_gone()
        self.lab.advance(1)
        self.successResultOf(stopped)
        self.assertEqual(self.closed, ["stop", "close"])
        self.assertEqual(self.lab.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """What is not complete in time ends; who does not go is cut off."""
        self.with_limits(drain=5.0)
        service = self.service(ListenerOfTest())
        service.startService()
        bob = self.lab.client()
        number = bob.ask("chat.send", text="q", session_key="s")
        stopped = service.stopService()
        self.lab.advance(6)
        self.assertEqual(bob.answered(number)["error"]["code"], -32040)
        self.lab.advance(6)
        self.assertTrue(bob.socket.aborted)
        self.successResultOf(stopped)

    def test_hurry(self) -> None:
        """The second signal waits for nothing."""
        service = self.service(ListenerOfTest())
        service.startService()
        self.lab.client().ask("chat.send", text="q", session_key="s")
        stopped = service.stopService()
        service.stop_at_once()
        self.lab.advance(0.1)
        self.successResultOf(stopped)
