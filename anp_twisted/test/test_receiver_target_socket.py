"""Tests of L{anp_twisted.receiver.target_socket}: what goes over the wire."""

from __future__ import annotations

from anp_twisted.limits import Limits
from anp_twisted.targets import Target
from anp_twisted.test.receiver_rig import on_loop
from anp_twisted.test.target_lab import TargetLab, settle
from anp_twisted.test.test_receiver_target_websocket import (
    CONNECT,
    DENIAL,
    WebSocketCase,
    accepted,
    frame,
    websocket_scope,
)


class SocketTests(WebSocketCase):
    """Handshakes and frames."""

    @on_loop
    async def test_handshake(self) -> None:
        """The caller's fields go to the server, a key of our own, and no extension; its answer goes back."""
        lab = TargetLab(target=Target(False, "h", 80, base=b"/base"))
        own = (b"sec-websocket-key", b"theirs"), (b"sec-websocket-extensions", b"permessage-deflate")
        offered = (b"sec-websocket-protocol", b"a, b")
        visitor = lab.ask(websocket_scope(offered, (b"cookie", b"c=1"), *own, target=b"/x%2F?y"), CONNECT)
        await settle()
        (wire,) = lab.server.wires
        head = wire.take()
        self.assertTrue(
            head.startswith(b"GET /base/x%2F?y HTTP/1.1\r\nhost: a.example\r\n" + b": ".join(offered)), head
        )
        for field in (b"cookie: c=1", b"connection: Upgrade", b"upgrade: websocket", b"x-forwarded-proto: https"):
            self.assertEqual(head.count(field + b"\r\n"), 1, field)
        self.assertNotIn(b"extensions", head)
        self.assertNotIn(b"theirs", head)
        answer = accepted(head, b"Sec-WebSocket-Protocol: b", b"Set-Cookie: a=1", b"Set-Cookie: b=2")
        for byte in answer:
            wire.say(bytes([byte]))
        await settle()
        fields = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
        self.assertEqual(visitor.sent, [{"type": "websocket.accept", "subprotocol": "b", "headers": fields}])
        visitor.give({"type": "websocket.disconnect", "code": 1006})
        await visitor.task
        self.assertEqual((wire.open, lab.pool.count), (False, 0))

    @on_loop
    async def test_bad_handshakes(self) -> None:
        """Answers that are none, or lie, are faults."""
        for answer in (
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            b"HTTP/1.1 101 X\r\nbad line\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA: " + b"x" * 40_000,
            b"HTTP/1.1 401 X\r\nContent-Length: 5\r\n\r\nx",
            b"",
        ):
            lab = TargetLab()
            visitor = lab.ask({**websocket_scope(), "extensions": DENIAL}, CONNECT)
            await settle()
            lab.server.wires[0].say(answer)
            lab.server.wires[0].cut()
            await self.failure(visitor)
            self.assertEqual(lab.pool.count, 0, answer)

    @on_loop
    async def test_breaches(self) -> None:
        """A server that breaks RFC 6455, sends too much, or is cut off, is a fault."""
        limits = Limits(websocket_message=100)
        for data in (frame(0xF3, b""), frame(0x81, b"\xff"), frame(0x82, b"x" * 101), frame(0x81, b"x", mask=True)):
            lab, visitor, wire = await self.opened(limits)
            wire.say(data)
            await self.failure(visitor)
            lab.clock.advance(lab.limits.closing)
            self.assertEqual((lab.pool.count, wire.open), (0, False))
        _, visitor, wire = await self.opened()
        wire.cut()
        self.assertIn("cut", str(await self.failure(visitor)))
