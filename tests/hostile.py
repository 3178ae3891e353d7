"""A receiver that tries to be others."""

from __future__ import annotations

from contextlib import suppress
from random import choice, randrange
from threading import Event, Thread

from websockets.exceptions import WebSocketException

from anp_twisted.wire.heads import Reset, ResponseHead
from anp_twisted.wire.v2 import Kind
from tests.harness import Gateway
from tests.rawreceiver import RawReceiver


class Hostile(Thread):
    """
    A receiver that answers, ends and breaks off what is not its own, and comes back when it is thrown out.

    @ivar frames: how many it has sent.
    @ivar links: how often it came.
    """

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.frames = 0
        self.links = 0
        self.over = Event()

    def run(self) -> None:
        """Come again and again."""
        while not self.over.is_set():
            with suppress(OSError, WebSocketException):
                receiver = RawReceiver(self.gateway, "/")
                self.links += 1
                self.misbehave(receiver)
                receiver.close()

    def misbehave(self, receiver: RawReceiver) -> None:
        """Until the link is cut."""
        head = ResponseHead(200, [("x-path", "evil"), ("content-length", "4")])
        frames: list[tuple[Kind, object, bytes, bool]] = [
            (Kind.RESPONSE, head, b"evil", True),
            (Kind.RESPONSE, head, b"", False),
            (Kind.DATA, None, b"evil", True),
            (Kind.RESET, Reset(2, "app", "evil"), b"", False),
            (Kind.REQUEST, None, b"evil", True),
        ]
        while not self.over.is_set():
            for _ in range(8):
                kind, value, body, end = choice(frames)
                # Of its own streams some, of which it makes answers; of any other number, too.
                stream = choice([*receiver.requests, randrange(1, 400)])
                receiver.send(kind, stream, value, body, end=end)
                self.frames += 1
            with suppress(TimeoutError):
                receiver.frame(0.001)
