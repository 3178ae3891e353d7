"""Tests of L{anp_twisted.receiver.target_websocket}."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import TestCase

from anp_twisted.errors import BackendFault, BackendTimeout
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message
from anp_twisted.targets import Target
from anp_twisted.test.receiver_rig import on_loop
from anp_twisted.test.target_lab import TargetLab, Visitor, Wire, settle
from anp_twisted.test.test_receiver_target_request import scope_of

CONNECT: Message = {"type": "websocket.connect"}
DENIAL: dict[str, Any] = {"websocket.http.response": {}}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def websocket_scope(*headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    """A scope as a receiver makes it."""
    scope = scope_of(*headers, (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), **more)
    return {**scope, "type": "websocket", "scheme": "wss", "subprotocols": ["a", "b"], "extensions": DENIAL}


def accepted(head: bytes, *fields: bytes) -> bytes:
    """What a server answers to a handshake."""
    found = re.search(rb"sec-websocket-key: (\S+)\r\n", head)
    assert found is not None, head
    accept = b64encode(sha1(found[1] + GUID).digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", *fields]
    return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept, b"", b""])


def frame(first: int, payload: bytes, *, mask: bool = False) -> bytes:
    """A WebSocket frame as a server sends it; one that is masked breaks the protocol."""
    return bytes((first, len(payload) | (0x80 if mask else 0))) + (bytes(4) if mask else b"") + payload


class WebSocketCase(TestCase):
    """Opens WebSockets."""

    async def opened(self, limits: Limits | None = None, *fields: bytes) -> tuple[TargetLab, Visitor, Wire]:
        lab = TargetLab(limits)
        visitor = lab.ask(websocket_scope(), CONNECT)
        await settle()
        (wire,) = lab.server.wires
        wire.say(accepted(wire.take(), *fields))
        await settle()
        return lab, visitor, wire

    async def failure(self, visitor: Visitor) -> BackendFault:
        try:
            await visitor.task
        except BackendFault as error:
            return error
        self.fail("nothing was raised")


class WebSocketTests(WebSocketCase):
    """One WebSocket, as an application sees it."""

    @on_loop
    async def test_messages(self) -> None:
        """Text and bytes go both ways."""
        _, visitor, wire = await self.opened()
        wire.say(frame(0x81, "ü".encode()) + frame(0x02, b"a") + frame(0x80, b"b"))
        await settle()
        self.assertEqual([list(message.values())[1] for message in visitor.sent[1:]], ["ü", b"ab"])
        visitor.give({"type": "websocket.receive", "text": "ü"})
        visitor.give({"type": "websocket.receive", "bytes": b"xyz"})
        await settle()
        sent = wire.take()
        self.assertEqual((sent[0], sent[1], sent[8], sent[9], len(sent)), (0x81, 0x82, 0x82, 0x83, 17))
        visitor.give({"type": "websocket.disconnect", "code": 1006})
        await visitor.task

    @on_loop
    async def test_server_closes(self) -> None:
        """Its code and reason are the application's; one without a code is an ordinary end."""
        for payload, code, reason in ((b"\x0f\xa1bye", 4001, "bye"), (b"", 1000, "")):
            lab, visitor, wire = await self.opened()
            wire.say(frame(0x88, payload))
            await visitor.task
            self.assertEqual(visitor.sent[-1], {"type": "websocket.close", "code": code, "reason": reason})
            self.assertTrue(wire.open)
            lab.clock.advance(lab.limits.closing)
            self.assertEqual((wire.open, lab.pool.count, lab.clock.getDelayedCalls()), (False, 0, []))

    @on_loop
    async def test_caller_closes(self) -> None:
        """Its code goes to the server; a caller that is lost is a connection that is cut."""
        lab, visitor, wire = await self.opened()
        wire.take()
        visitor.give({"type": "websocket.disconnect", "code": 4001, "reason": "bye"})
        await visitor.task
        sent = wire.take()
        self.assertEqual((sent[0], sent[1], wire.open), (0x88, 0x85, True))
        wire.cut()
        self.assertEqual((lab.pool.count, lab.clock.getDelayedCalls()), (0, []))

    @on_loop
    async def test_denied(self) -> None:
        """An answer that is no WebSocket is passed on as it is, where that is possible."""
        answer = b"HTTP/1.1 401 No\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nno"
        for extensions, kinds in ((DENIAL, ["http.response.start", *["http.response.body"] * 3]), ({}, ["close"])):
            lab = TargetLab()
            visitor = lab.ask({**websocket_scope(), "extensions": extensions}, CONNECT)
            await settle()
            for byte in answer:
                lab.server.wires[0].say(bytes([byte]))
            await visitor.task
            self.assertEqual([message["type"].removeprefix("websocket.") for message in visitor.sent], kinds)
            if extensions:
                self.assertEqual((visitor.status, visitor.body), (401, b"no"))
                # What was heard to its end is left in good order; a server without care for errors dies of a reset.
                self.assertIs(lab.server.wires[0].end, ConnectionDone)
            self.assertEqual((lab.pool.count, lab.clock.getDelayedCalls()), (0, []))

    @on_loop
    async def test_denied_until_the_end(self) -> None:
        """An answer without length lasts until the server closes."""
        lab = TargetLab()
        visitor = lab.ask(websocket_scope(), CONNECT)
        await settle()
        lab.server.wires[0].say(b"HTTP/1.1 401 No\r\n\r\nno")
        lab.server.wires[0].cut()
        await visitor.task
        self.assertEqual((visitor.status, visitor.body), (401, b"no"))
        self.assertEqual((lab.pool.count, lab.clock.getDelayedCalls()), (0, []))

    @on_loop
    async def test_refused(self) -> None:
        """Outside of the base nothing is asked for."""
        lab = TargetLab(target=Target(False, "h", 80, base=b"/base"))
        visitor = lab.ask(websocket_scope(target=b"/../x"), CONNECT)
        await visitor.task
        self.assertEqual((visitor.status, lab.server.wires), (400, []))

    @on_loop
    async def test_pressure(self) -> None:
        """What the caller does not take stays with the server, and the other way round."""
        _, visitor, wire = await self.opened(Limits(stream_backlog=10))
        visitor.open.clear()
        wire.say(frame(0x82, b"x" * 8))
        await settle()
        wire.say(frame(0x82, b"y" * 11))
        self.assertTrue(wire.paused)
        visitor.open.set()
        await settle()
        self.assertFalse(wire.paused)
        wire.take()
        wire.protocol.pauseProducing()
        for text in ("one", "two"):
            visitor.give({"type": "websocket.receive", "text": text})
        await settle()
        self.assertEqual(len(wire.take()), 9)
        wire.protocol.resumeProducing()
        await settle()
        self.assertEqual(len(wire.take()), 9)
        visitor.give({"type": "websocket.disconnect", "code": 1006})
        await visitor.task

    @on_loop
    async def test_silent(self) -> None:
        """A server that does not decide is given up."""
        lab = TargetLab(Limits(target_silence=0.001))
        visitor = lab.ask(websocket_scope(), CONNECT)
        self.assertIsInstance(await self.failure(visitor), BackendTimeout)
        self.assertEqual(lab.pool.count, 0)

    @on_loop
    async def test_caller_leaves_early(self) -> None:
        """A caller that leaves before the server decided leaves no connection."""
        lab = TargetLab()
        visitor = lab.ask(websocket_scope(), CONNECT)
        await settle()
        visitor.give({"type": "websocket.disconnect", "code": 1006})
        await visitor.task
        self.assertEqual(lab.pool.count, 0)
