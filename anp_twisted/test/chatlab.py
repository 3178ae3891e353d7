"""A gateway in memory, as a client of the command line sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.chat import Means
from anp_twisted.assistant.chat.link import CallFailed, Link, LinkDown, Listener
from anp_twisted.assistant.chat.screen import Terminal
from anp_twisted.limits import Limits

AT = "2026-01-01T00:00:00.000Z"
KEY = "default:ws:@ann:direct:main:"


class GatewayLink(Link):
    """A connection to it."""

    def __init__(self, gateway: FakeGateway, listener: Listener) -> None:
        super().__init__(listener, gateway.clock)
        self.gateway = gateway
        self.listener = listener

    def call(self, method: str, params: types.Params, result: type[Any]) -> Deferred[Any]:
        """Let the gateway answer."""
        self.gateway.calls.append((method, params))
        return self.gateway.answers[method](params)

    def close(self) -> None:
        """Note it."""
        self.gateway.closed += 1


class FakeGateway:
    """
    The gateway.

    @ivar answers: what each method does; a test replaces some.
    @ivar calls: what was called.
    @ivar dials: what becomes of the next attempts; when there is nothing they succeed.
    @ivar out: what was written to the standard output.
    @ivar aside: what was written to standard error.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.calls: list[tuple[str, types.Params]] = []
        self.dials: list[Exception] = []
        self.links: list[GatewayLink] = []
        self.closed = 0
        self.out: list[str] = []
        self.aside: list[str] = []
        self.keys = 0
        info = types.SessionInfo(KEY, "default", "ws", "main", AT, AT, 4)
        self.answers: dict[str, Callable[[Any], Deferred[Any]]] = {
            "connect": lambda params: succeed(types.Connected(True, "ann", "user", "1", 1, 30.0)),
            "session.create": lambda params: succeed(info),
            "session.subscribe": lambda params: succeed(types.Subscribed(KEY, "id", 4)),
            "session.list": lambda params: succeed(types.SessionList((info,), None)),
            "session.delete": lambda params: succeed(types.Deleted(params.session_key == "main")),
            "chat.send_stream": lambda params: succeed(types.Accepted("m", "u", "r", 5, AT)),
            "chat.abort": lambda params: succeed(types.Aborted(("r",))),
            "chat.history": lambda params: succeed(types.History((types.Message("1", "user", "hi", AT, 1),), False)),
            "channel.list": lambda params: succeed(
                types.ChannelList((types.ChannelInfo("home", "waiting", "reset", queued=3),))
            ),
            "pairing.list": lambda params: succeed(
                types.PairingList((types.PairingRequest("AB", "home", "7", AT, AT),), (types.Paired("home", "8", AT),))
            ),
            "pairing.approve": lambda params: succeed(types.PairingDecision(params.code, "home", "7", "approved")),
            "pairing.reject": lambda params: succeed(types.PairingDecision(params.code, "home", "7", "rejected")),
            "token.link": lambda params: succeed(types.TokenLink("secret", AT)),
        }

    def means(self) -> Means:
        """What a conversation with it works with."""
        return Means(
            dial=self.dial,
            token=lambda: "token",
            clock=self.clock,
            new_key=self.new_key,
            draw=lambda: 1.0,
            limits=Limits(reconnect_first=1.0, reconnect_most=4.0),
        )

    def terminal(self) -> Terminal:
        """Somewhere to read."""
        return Terminal(self.out.append, self.aside.append, colours=False, shared=False)

    def new_key(self) -> str:
        """Count."""
        self.keys += 1
        return f"key{self.keys}"

    def dial(self, listener: Listener) -> Deferred[Link]:
        """Connect, or not."""
        if self.dials:
            return fail(self.dials.pop(0))
        self.links.append(GatewayLink(self, listener))
        return succeed(self.links[-1])

    def drop(self) -> None:
        """Lose the connection."""
        self.links[-1].listener.down(LinkDown("reset"))

    def refuse(self, method: str, word: str) -> None:
        """Answer a method with an error."""
        self.answers[method] = lambda params: fail(CallFailed(f"{word}!", word))

    def tell(self, *events: types.AnyEvent) -> None:
        """Let things happen."""
        for event in events:
            self.links[-1].listener.event(event)

    def named(self, method: str) -> list[Any]:
        """The parameters of all calls of a method."""
        return [params for name, params in self.calls if name == method]

    @property
    def text(self) -> str:
        """What was written to the standard output."""
        return "".join(self.out)

    @property
    def notes(self) -> str:
        """What was written to standard error."""
        return "".join(self.aside)


def said(seq: int = 5, run: str = "r") -> types.ChatMessage:
    """Somebody said something."""
    return types.ChatMessage(KEY, seq, AT, "u", run, "m", "hello")


def delta(text: str, offset: int = 0, run: str = "r") -> types.ChatDelta:
    """A part of an answer."""
    return types.ChatDelta(KEY, "m", run, 0, offset, text)


def final(text: str, seq: int = 6, run: str = "r") -> types.ChatFinal:
    """The end of an answer."""
    return types.ChatFinal(KEY, seq, AT, "m", run, text)
