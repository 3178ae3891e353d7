"""Tests of L{anp_twisted.embedding}; C{tests/test_embedding.py} runs it in whole programs."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

import anp_twisted
from anp_twisted.embedding import LOGGER, Receiver, receiver_service, settings_from
from anp_twisted.errors import ANPError, AppStartError, LinkRefused, LocalError, SettingsError
from anp_twisted.receiver.asgi import App, Message, Receive, Send
from anp_twisted.receiver.service import Choice, Phase, ReceiverService
from anp_twisted.test.receiver_lab import ReceiverLab
from anp_twisted.test.receiver_rig import on_loop
from anp_twisted.test.test_receiver_service import Gated, hello


class SettingsTests(SynchronousTestCase):
    """What is given, and what the environment adds."""

    def test_defaults(self) -> None:
        """The gateway of this machine, every path, the token of the folder."""
        settings = settings_from({}, {})
        self.assertEqual(settings.gateway, ("ws://127.0.0.1:9877/ws",))
        self.assertEqual((settings.path, settings.token, settings.state_dir), (("/",), None, "anp-state"))

    def test_environment(self) -> None:
        """It fills in what was not given; what concerns commands only is let pass."""
        environment = {
            "ANP_GATEWAY": "wss://a.example wss://b.example",
            "ANP_TOKEN": "secret",
            "ANP_LINKS": "2",
            "ANP_PATH": "/env",
            "ANP_APP": "other:app",
            "ANP_WORKERS": "7",
            "ANP_NOTHING_KNOWN": "x",
        }
        settings = settings_from({"path": "/given", "links": None}, environment)
        self.assertEqual(settings.gateway, ("wss://a.example", "wss://b.example"))
        self.assertEqual((settings.token, settings.path, settings.links), ("secret", ("/given",), 2))
        self.assertEqual(settings.workers, 1)

    def test_token(self) -> None:
        """A token that is given in one way is not contradicted by one in the environment."""
        for given in ({"token": "mine"}, {"token_file": "f"}):
            settings = settings_from(given, {"ANP_TOKEN": "secret", "ANP_TOKEN_FILE": "other"})
            self.assertEqual((settings.token, settings.token_file), (given.get("token"), given.get("token_file")))
        with self.assertRaises(SettingsError):
            settings_from({"token": "mine", "token_file": "f"}, {})

    def test_several(self) -> None:
        """Paths and gateways are one text or several."""
        settings = settings_from({"path": ("/a", "/b"), "gateway": ["wss://a.example"]}, {})
        self.assertEqual((settings.path, settings.gateway), (("/a", "/b"), ("wss://a.example",)))

    def test_mistakes(self) -> None:
        """They are one line that names the argument; an unknown one is a mistake of the program."""
        cases: list[tuple[dict[str, Any], str]] = [
            ({"links": 99}, "links in the arguments must be a whole number from 1 to 16"),
            ({"gateway": "http://a.example"}, "gateway in the arguments must be ws://"),
            ({"gateways": "both"}, "gateways in the arguments must be one of all, first"),
        ]
        for given, words in cases:
            with self.assertRaises(SettingsError) as caught:
                settings_from(given, {})
            self.assertIn(words, str(caught.exception))
        self.assertRaises(TypeError, settings_from, {"prot": 1}, {})
        self.assertRaises(TypeError, settings_from, {"app": "x:y"}, {})


class LazyTests(SynchronousTestCase):
    """What the package offers."""

    def test_names(self) -> None:
        """They are those of this module; others there are none."""
        self.assertIs(anp_twisted.Receiver, Receiver)
        self.assertIs(anp_twisted.receiver_service, receiver_service)
        self.assertRaises(AttributeError, getattr, anp_twisted, "Reciever")
        self.assertIn("expose", dir(anp_twisted) + anp_twisted.__all__)

    def test_no_reactor(self) -> None:
        """Importing all of it installs no reactor."""
        code = "import sys, anp_twisted.embedding; sys.exit('twisted.internet.reactor' in sys.modules)"
        root = os.path.dirname(os.path.dirname(anp_twisted.__file__))
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, check=False)
        self.assertEqual(done.returncode, 0)


class ServiceTests(TestCase):
    """For a Twisted program."""

    def test_made(self) -> None:
        """It is a service on the reactor of the process, with what was said of it."""
        service = receiver_service(hello, gateway="wss://gate.example", token="secret", path="/a", links=2)
        self.assertIsInstance(service, ReceiverService)
        gateway = service.lanes[0].gateways[0]
        self.assertEqual((gateway.url, gateway.paths, len(service.lanes)), ("wss://gate.example:443/ws", ("/a",), 2))
        self.assertEqual(gateway.headers(), {"Authorization": "Bearer secret"})

    @on_loop
    async def test_failure(self) -> None:
        """Who does not listen finds it in the log."""
        failures: list[ANPError] = []
        for on_failure in (failures.append, None):
            service = receiver_service(refusing, token="secret", on_failure=on_failure)
            service.startService()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await service.stopService().asFuture(asyncio.get_running_loop())
        self.assertEqual([type(error) for error in failures], [AppStartError])


async def refusing(scope: Message, receive: Receive, send: Send) -> None:
    """An application that cannot start."""
    await send({"type": "lifespan.startup.failed", "message": "no database"})


class InLab(Receiver):
    """
    One whose gateway is in memory.

    @ivar lab: the gateway, and the time.
    """

    def __init__(self, app: App, lab: ReceiverLab, **keywords: Any) -> None:
        super().__init__(app, token="secret", **keywords)
        self.lab = lab

    def _make(self, reactor: Any) -> ReceiverService:
        around = replace(
            self.lab.service.around,
            announce=self._announce,
            give_up=self._fail,
            linked=self._tell,
            troubled=self._troubled,
        )
        self.lab.service = ReceiverService(self.lab.service.bridge, self.lab.service.lanes, around)
        return self.lab.service

    async def while_moving(self, work: Any) -> Any:
        """Await something while the laboratory moves."""
        task = asyncio.get_running_loop().create_task(work)
        for _ in range(200):
            if task.done():
                break
            await self.lab.settle(1.0)
        return await task


class ReceiverTests(TestCase):
    """For an asyncio program."""

    @on_loop
    async def test_serves(self) -> None:
        """From its start until its end it is connected; the URL is known, and told."""
        told: list[str] = []
        receiver = InLab(hello, ReceiverLab(hello), on_url=told.append)
        self.assertEqual((receiver.url, receiver.connected), ("", False))
        await receiver.while_moving(receiver.start())
        self.assertEqual((receiver.url, receiver.connected), ("http://gate.example/", True))
        self.assertEqual(told, ["http://gate.example/"])
        caller = receiver.lab.gateway.request()
        await receiver.lab.settle()
        self.assertIsNone(await caller.outcome)
        await receiver.wait_connected(0.0)
        await receiver.while_moving(receiver.stop())
        self.assertEqual((receiver.connected, receiver.lab.service.phase), (False, Phase.STOPPED))
        self.assertEqual(receiver.lab.clock.getDelayedCalls(), [])
        await receiver.stop()

    @on_loop
    async def test_again(self) -> None:
        """It can be used again, not twice at once."""
        receiver = InLab(hello, ReceiverLab(hello))
        for _ in range(2):
            await receiver.while_moving(receiver.start())
            with self.assertRaises(LocalError):
                await receiver.start()
            self.assertTrue(receiver.connected)
            await receiver.while_moving(receiver.stop())

    @on_loop
    async def test_refused(self) -> None:
        """A token that the gateway refuses is told at once, and nothing goes on."""
        receiver = InLab(hello, ReceiverLab(hello))
        receiver.lab.refuse = 401
        with self.assertRaises(LinkRefused) as caught:
            await receiver.while_moving(receiver.start())
        self.assertEqual((str(caught.exception), caught.exception.status), ("the gateway refused the token (401)", 401))
        self.assertEqual((len(receiver.lab.dialled), receiver.lab.clock.getDelayedCalls()), (1, []))

    @on_loop
    async def test_refused_by_one(self) -> None:
        """Where there are several gateways, one that refuses the token is not the end."""
        hosts = ("192.0.2.1", "192.0.2.2")
        lab = ReceiverLab(hello, hosts=hosts, choice=Choice.FIRST)
        receiver = InLab(hello, lab, gateway=[f"wss://{host}/ws" for host in hosts])
        lab.doors[0].refuse = 401
        await receiver.while_moving(receiver.start())
        self.assertEqual((receiver.connected, lab.doors_dialled), (True, list(hosts)))
        await receiver.while_moving(receiver.stop())

    @on_loop
    async def test_unreachable(self) -> None:
        """A gateway that is not there is told when the time is over, with the reason."""
        receiver = InLab(hello, ReceiverLab(hello), connect_timeout=0.05)
        receiver.lab.refuse = -1
        with self.assertRaises(LinkRefused) as caught:
            await receiver.while_moving(receiver.start())
        self.assertEqual(
            str(caught.exception), "no link with a gateway within 0.05 s: nothing listens at the gateway's address"
        )
        self.assertEqual(receiver.lab.clock.getDelayedCalls(), [])

    @on_loop
    async def test_not_waiting(self) -> None:
        """Who does not wait goes on, and may wait later."""
        receiver = InLab(hello, ReceiverLab(hello), connect_timeout=None)
        receiver.lab.refuse = -1
        await receiver.start()
        await receiver.lab.settle()
        self.assertFalse(receiver.connected)
        with self.assertRaises(LinkRefused):
            await receiver.wait_connected(0.0)
        receiver.lab.refuse = 0
        await receiver.while_moving(receiver.wait_connected())
        self.assertTrue(receiver.connected)
        await receiver.while_moving(receiver.stop())
        with self.assertRaises(LocalError):
            await receiver.wait_connected()

    @on_loop
    async def test_lost(self) -> None:
        """A link that is lost comes back by itself."""
        receiver = InLab(hello, ReceiverLab(hello))
        await receiver.while_moving(receiver.start())
        receiver.lab.gateway.links[0].abort(ANPError("gone"))
        await receiver.lab.settle()
        self.assertFalse(receiver.connected)
        await receiver.while_moving(receiver.wait_connected())
        self.assertTrue(receiver.connected)
        await receiver.while_moving(receiver.stop())

    @on_loop
    async def test_application(self) -> None:
        """An application that is asked to start and does not is the reason for which nothing starts."""
        receiver = InLab(refusing, ReceiverLab(refusing), lifespan="on")
        with self.assertRaisesRegex(AppStartError, "no database"):
            await receiver.while_moving(receiver.start())
        self.assertEqual(receiver.lab.dialled, [])

    @on_loop
    async def test_block_fails(self) -> None:
        """Whatever ends the block, it is stopped."""
        receiver = InLab(hello, ReceiverLab(hello))

        async def block() -> None:
            async with receiver:
                raise KeyError("of the block")

        with self.assertRaises(KeyError):
            await receiver.while_moving(block())
        self.assertFalse(receiver.connected)
        self.assertEqual(receiver.lab.clock.getDelayedCalls(), [])

    @on_loop
    async def test_cancelled(self) -> None:
        """Who is cancelled while it drains waits for nothing more, and leaves nothing behind."""
        app = Gated()
        receiver = InLab(app, ReceiverLab(app))
        await receiver.while_moving(receiver.start())
        receiver.lab.gateway.request()
        await receiver.lab.settle()
        stopping = asyncio.get_running_loop().create_task(receiver.stop())
        await receiver.lab.settle()
        self.assertFalse(stopping.done())
        stopping.cancel()
        await receiver.lab.settle()
        self.assertTrue(stopping.cancelled())
        self.assertEqual(receiver.lab.clock.getDelayedCalls(), [])

    def test_lifespan_is_off(self) -> None:
        """Mostly somebody else has started the application."""
        self.assertEqual(Receiver(hello, token="secret")._mode.value, "off")

    def test_log(self) -> None:
        """What is logged reaches the standard library while a receiver is there, and other's events do not."""
        from anp_twisted.embedding import _bridge

        records: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = records.append  # type: ignore[method-assign, assignment]
        logger = logging.getLogger(LOGGER)
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        for said in ("before", "during", "after"):
            if said == "during":
                _bridge.begin()
                _bridge.begin()
                _bridge.end()
            Logger("anp_twisted.some.module").warn("{said}", said=said)
            Logger("somebody.else").warn("{said}", said=said)
            if said == "during":
                _bridge.end()
        self.assertEqual([record.getMessage() for record in records], ["during"])
