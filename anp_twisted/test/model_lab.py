"""
Stand-ins for what is behind agents: a model's server in memory, an ASGI application and a program, each with the
L{brain<anp_twisted.test.agent_lab.brain>} of the rules inside.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost, ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from anp_twisted.assistant.agents.asgi import Message
from anp_twisted.assistant.agents.events import (
    AgentEvent,
    Context,
    Final,
    HistoryMessage,
    Reasoning,
    TextDelta,
    ToolEnd,
    ToolStart,
    Turn,
    Usage,
)
from anp_twisted.assistant.agents.program import Program
from anp_twisted.test.agent_lab import brain, context, turn

encode = msgspec.json.encode


# --- chat completions ----------------------------------------------------------------


def asked_of(body: bytes) -> tuple[Turn, Context]:
    """
    @return: what a request asks.
    """
    request = msgspec.json.decode(body)
    *before, last = [HistoryMessage(one["role"], one["content"]) for one in request["messages"]]
    instructions = ""
    if len(before) > 1 and before[0].role == before[1].role == "system":
        instructions = before.pop(0).text
    asked = msgspec.structs.replace(context(instructions=instructions), history=tuple(before))
    return turn(last.text), asked


def chunk(**members: Any) -> bytes:
    """
    @return: one event of a stream.
    """
    return b"data: " + encode({"id": "c1", "object": "chat.completion.chunk", **members}) + b"\n\n"


def delta(finish: str | None = None, **members: Any) -> bytes:
    """
    @return: one event with a piece of the answer.
    """
    return chunk(choices=[{"index": 0, "delta": members, "finish_reason": finish}])


async def completion(body: bytes) -> AsyncGenerator[bytes, None]:
    """
    Answer a request as a model's server does, in pieces that are cut anywhere.
    """
    asked, where = asked_of(body)
    said = False
    async for event in brain(asked, where):
        for part in _chunks(event, said):
            half = len(part) // 2
            yield part[:half]
            yield part[half:]
        said = said or isinstance(event, TextDelta)


def _chunks(event: AgentEvent, said: bool) -> list[bytes]:
    match event:
        case TextDelta(text):
            return [delta(content=text)]
        case Reasoning(text):
            return [delta(reasoning_content=text)]
        case Usage(read, written):
            return [chunk(choices=[], usage={"prompt_tokens": read, "completion_tokens": written})]
        case ToolStart(number, name, arguments):
            halves = arguments[:3], arguments[3:]
            first = {"index": 0, "id": number, "function": {"name": name, "arguments": halves[0]}}
            second = {"index": 0, "function": {"arguments": halves[1]}}
            return [delta(tool_calls=[first]), delta(tool_calls=[second])]
        case Final(text):
            whole = [] if said or not text else [delta(content=text)]
            return [*whole, delta(finish="stop"), b"data: [DONE]\n\n"]
        case ToolEnd():
            return []
    raise AssertionError(event)


class Alive:
    """The life of an application that has one without end."""

    state: dict[str, Any] = {"kept": 7}

    async def ready(self) -> None:
        pass


async def model_app(scope: Message, receive: Any, send: Any) -> None:
    """
    The same as an ASGI application.
    """
    assert (scope["type"], scope["method"], scope["path"]) == ("http", "POST", "/v1/chat/completions")
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/event-stream")]})
    async for piece in completion(body):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class FakeResponse:
    """
    What a client gets of twisted.web.

    @ivar paused: how often reading was paused.
    """

    length = 0
    version = (b"HTTP", 1, 1)
    phrase = b"OK"
    request: Any = None
    previousResponse: Any = None

    def __init__(self, server: FakeServer, code: int, fields: dict[str, str], body: AsyncIterator[bytes]) -> None:
        self.code = code
        self.headers = Headers({name: [value] for name, value in fields.items()})
        self.paused = 0
        self._server = server
        self._body = body
        self._go = asyncio.Event()
        self._go.set()
        self._task: asyncio.Task[None] | None = None

    def deliverBody(self, protocol: IProtocol) -> None:
        protocol.makeConnection(self)  # type: ignore[arg-type]
        self._task = asyncio.get_running_loop().create_task(self._deliver(protocol))
        self._server.open.add(self)

    def setPreviousResponse(self, response: object) -> None:
        raise AssertionError("nothing is redirected")

    async def _deliver(self, protocol: IProtocol) -> None:
        from twisted.web.client import ResponseDone

        reason: Exception = ResponseDone()
        try:
            async for piece in self._body:
                protocol.dataReceived(piece)
                await asyncio.sleep(0)
                await self._go.wait()
        except Exception:  # noqa: BLE001 boundary: whatever is wrong, the connection breaks
            reason = ConnectionLost()
        self._server.open.discard(self)
        protocol.connectionLost(Failure(reason))

    def pauseProducing(self) -> None:
        self.paused += 1
        self._go.clear()

    def resumeProducing(self) -> None:
        self._go.set()

    def loseConnection(self) -> None:
        assert self._task is not None
        self._task.cancel()
        self._server.open.discard(self)


class FakeServer:
    """
    A model's server in the place of twisted.web's agent.

    @ivar open: answers that are under way.
    @ivar asked: method, URL and fields of each request.
    @ivar refusals: status, fields and body of the next answers, or what they fail with.
    """

    def __init__(self) -> None:
        self.open: set[FakeResponse] = set()
        self.asked: list[tuple[bytes, bytes, Headers]] = []
        self.refusals: list[tuple[int, dict[str, str], bytes] | Exception] = []
        self.pending: list[Deferred[Any]] = []

    def request(self, method: bytes, uri: bytes, headers: Headers, bodyProducer: Any) -> Deferred[Any]:
        self.asked.append((method, uri, headers))
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                failed: Deferred[Any] = Deferred()
                failed.errback(refusal)
                return failed
            return succeed(FakeResponse(self, refusal[0], refusal[1], _once(refusal[2])))
        body = bodyProducer._inputFile.read()
        return succeed(FakeResponse(self, 200, {"content-type": "text/event-stream"}, completion(body)))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


# --- a program -----------------------------------------------------------------------


class FakePipe:
    """The reading end of a program's standard output."""

    def __init__(self) -> None:
        self.paused = 0
        self.go = asyncio.Event()
        self.go.set()

    def pauseProducing(self) -> None:
        self.paused += 1
        self.go.clear()

    def resumeProducing(self) -> None:
        self.go.set()


class FakeProcess:
    """
    A process with a brain.

    @ivar stubborn: whether it takes no notice of SIGTERM.
    @ivar quiet: whether its end is not told before it is looked for.
    """

    def __init__(self, programs: FakePrograms, protocol: Program, pid: int) -> None:
        self.pid = pid
        self.pipes = {1: FakePipe()}
        self.stubborn = False
        self.quiet = False
        self._programs = programs
        self._protocol = protocol
        self._asked = b""

    def write(self, data: bytes) -> None:
        self._asked += data

    def closeStdin(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        class Question(msgspec.Struct):
            turn: Turn
            context: Context

        question = msgspec.json.decode(self._asked, type=Question)
        reason: Exception = ProcessDone(0)
        try:
            async for event in brain(question.turn, question.context):
                line = encode(event) + b"\n"
                for piece in (line[:5], line[5:]):
                    self._protocol.outReceived(piece)
                    await asyncio.sleep(0)
                    await self.pipes[1].go.wait()
        except ValueError as error:
            self._protocol.errReceived(str(error).encode())
            reason = ProcessTerminated(1)
        self.over(reason)

    def over(self, reason: Exception) -> None:
        """It has ended."""
        self._programs.running.pop(self.pid, None)
        self._protocol.processExited(Failure(reason))
        self._protocol.processEnded(Failure(reason))


class FakePrograms:
    """
    What starts processes, and sends them signals.

    @ivar running: the processes by their number.
    @ivar started: arguments and environment of each.
    @ivar signals: each that was sent to a process that ran.
    """

    def __init__(self) -> None:
        self.running: dict[int, FakeProcess] = {}
        self.started: list[tuple[list[str], dict[str, str]]] = []
        self.signals: list[int] = []
        self._ended: list[Callable[[], None]] = []

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: dict[str, str]) -> None:
        self.started.append((args, env))
        process = FakeProcess(self, protocol, 1000 + len(self.started))
        self.running[process.pid] = process
        protocol.makeConnection(process)

    def reap(self) -> None:
        ended, self._ended = self._ended, []
        for end in ended:
            end()

    def kill(self, group: int, number: int) -> None:
        process = self.running.get(group)
        if process is None:
            return
        self.signals.append(number)
        if number == signal.SIGKILL or not process.stubborn:
            process.task.cancel()
            reason = ProcessTerminated(signal=number)
            if process.quiet:
                self._ended.append(lambda: process.over(reason))
            else:
                asyncio.get_running_loop().call_soon(process.over, reason)
