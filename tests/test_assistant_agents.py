"""Agents as they really run: programs, servers and applications of this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import psutil
import trustme
from twisted.trial.unittest import TestCase

from anp_twisted.assistant.agents.chat import ChatAgent
from anp_twisted.assistant.agents.events import Agent, Failed
from anp_twisted.assistant.agents.openai import ServerUpstream, make_client
from anp_twisted.assistant.agents.program import ProgramAgent, ThisSystem
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks
from anp_twisted.test.agent_lab import AgentRules, Stage, context, turn, until
from anp_twisted.test.receiver_rig import on_loop, the_loop
from tests.assistant import AssistantCase
from tests.harness import APPS, ROOT, EndToEnd, Program, free_port, listening, wait_until

PATHS = os.pathsep.join([str(APPS), str(ROOT)])


def children() -> list[psutil.Process]:
    """
    @return: processes that this one started and that have not ended.
    """
    return [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]


class ProgramRuleTests(AgentRules, TestCase):
    """The rules of all agents, for a program."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.patch(os, "environ", {**os.environ, "PYTHONPATH": PATHS})
        self.before = {one.pid for one in children()}

    def agent(self, stage: Stage) -> Agent:
        command = [sys.executable, "-m", "agents"]
        return self.program(stage, command)

    def program(self, stage: Stage, command: list[str]) -> Agent:
        """
        @return: an agent in real time; only the deadlines of its turns are the test's.
        """
        tasks = Tasks(the_loop(), self.reactor)
        return ProgramAgent(command, self.reactor, tasks, stage.limits, system=ThisSystem())

    def left(self) -> Iterable[object]:
        return [one for one in children() if one.pid not in self.before]

    @on_loop
    async def test_group(self) -> None:
        """What a program started ends with it, even if it takes no notice of SIGTERM."""
        stage = Stage()
        script = 'trap \'\' TERM; sleep 1000 & sleep 1001 & echo \'{"type":"text_delta","text":"a"}\'; wait; wait'
        agent = self.program(stage, ["sh", "-c", script])
        hearing = stage.begin(agent.run(turn("x"), context()))
        await until(lambda: hearing.text)
        await until(lambda: len(list(self.left())) == 3)
        hearing.run.abort()
        await until(lambda: not stage.runs and not list(self.left()))

    @on_loop
    async def test_leftBehind(self) -> None:
        """A program that ends well and leaves something running leaves nothing."""
        stage = Stage()
        script = 'sleep 1000 & echo \'{"type":"final","text":"a"}\''
        agent = self.program(stage, ["sh", "-c", script])
        hearing = stage.begin(agent.run(turn("x"), context()))
        await until(lambda: not stage.runs)
        self.assertEqual(hearing.text, "a")
        await until(lambda: not list(self.left()))


class ServerRules(AgentRules):
    """The rules of all agents, for a server behind a URL; checked one after the other, with one server."""

    uses_tools = False

    def __init__(self, case: ServerTests) -> None:
        self._case = case

    def __getattr__(self, name: str) -> Any:
        return getattr(self._case, name)

    def agent(self, stage: Stage) -> Agent:
        return self._case.agent(stage)


class ServerTests(EndToEnd, TestCase):
    """A server behind a URL."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        super().setUp()
        self.reactor: Any = reactor
        self.port = free_port()
        command = [sys.executable, "-m", "uvicorn", "agents:app", f"--port={self.port}", "--log-level=critical"]
        self.server: Program = self.start_program(*command, name="model")
        wait_until(self._answers, "the model's server answers")

    def _answers(self) -> bool:
        try:
            httpx.post(f"http://127.0.0.1:{self.port}/", trust_env=False)
        except httpx.ConnectError:
            return False
        return True

    def agent(self, stage: Stage) -> Agent:
        """
        @return: an agent behind the server.
        """
        client, pool = make_client(self.reactor, stage.limits)
        self.addCleanup(pool.closeCachedConnections)
        url = f"http://127.0.0.1:{self.port}/v1"
        return ChatAgent(ServerUpstream(client, url, stage.tasks, stage.limits), stage.tasks, stage.limits)

    @on_loop
    async def test_rules(self) -> None:
        """The rules of all agents, and the end of the server."""
        rules = ServerRules(self)
        names = [name for name in dir(AgentRules) if name.startswith("test_")]
        self.assertGreater(len(names), 8)
        for name in names:
            await getattr(rules, name)().asFuture(the_loop())
        await self._killed()

    async def _killed(self) -> None:
        """One that is killed in the middle has not answered."""
        stage = Stage()
        hearing = stage.begin(self.agent(stage).run(turn("hang"), context()))
        await until(lambda: hearing.text)
        self.server.signal(signal.SIGKILL)
        await until(lambda: not stage.runs)
        assert isinstance(hearing.end, Failed)
        self.assertTrue(hearing.end.retryable)


class TlsTests(EndToEnd, TestCase):
    """A server behind TLS."""

    @on_loop
    async def test_verified(self) -> None:
        """Only a certificate of the right authority for the right name is good enough; the key goes nowhere else."""
        from twisted.internet import reactor

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self.folder / "cert.pem"))
        port = free_port()
        files = [f"--ssl-keyfile={self.folder}/cert.pem", f"--ssl-certfile={self.folder}/cert.pem"]
        command = [sys.executable, "-m", "uvicorn", "agents:app", f"--port={port}", "--log-level=critical", *files]
        self.start_program(*command, name="model")
        wait_until(lambda: listening(port), "the model's server listens")
        stage = Stage(Limits(agent_attempts=1))
        for ca_file, host, text in (
            (str(self.folder / "ca.pem"), "127.0.0.1", "hi"),
            (None, "127.0.0.1", ""),
            (str(self.folder / "ca.pem"), "localhost", ""),
        ):
            client, pool = make_client(reactor, stage.limits, ca_file)
            upstream = ServerUpstream(client, f"https://{host}:{port}/v1", stage.tasks, stage.limits, key="k")
            hearing = stage.begin(ChatAgent(upstream, stage.tasks, stage.limits).run(turn("say hi"), context()))
            await until(lambda: not stage.runs)
            self.assertEqual(hearing.text, text)
            await pool.closeCachedConnections().asFuture(the_loop())


class GatewayTests(AssistantCase):
    """Each kind of agent behind a real gateway."""

    def test_kinds(self) -> None:
        """Each answers a message, and the next one knows of it; an abort is told within two seconds."""
        for agent in ("asgi:agents:app", f"exec:{sys.executable} -m agents"):
            gateway = self.start_assistant(f"--agent={agent}", environment={"PYTHONPATH": PATHS})
            client = self.rpc(gateway)
            self.assertEqual(
                client.call("chat.send", session_key=agent[:4], text="say hello", mode="single")["text"], "hello"
            )
            text = client.call("chat.send", session_key=agent[:4], text="recall", mode="single")["text"]
            self.assertEqual(text, "user=say hello|assistant=hello|")
            client.call("chat.send_stream", session_key="b", text="hang", mode="single")
            client.until("chat.delta")
            client.call("chat.abort", session_key="b")
            self.assertEqual(client.until("chat.failed", seconds=2)["code"], "cancelled")
            self.terminate(gateway)
            self.assertNotIn("Traceback", gateway.log())

    def test_refused(self) -> None:
        """An agent that cannot be made ends the start with one line."""
        for agent, text in (
            ("python:nothing:there", "no module 'nothing'"),
            ("robot", "must be echo"),
        ):
            program = self.start_program(
                str(Path(sys.executable).with_name("twistd")),
                "-n",
                "--pidfile=",
                "anp-assistant",
                "--port=0",
                f"--agent={agent}",
                environment={"PYTHONPATH": PATHS},
            )
            self.assertNotEqual(program.wait(), 0)
            self.assertIn(text, program.log())
            self.assertNotIn("Traceback", program.log())

    def test_stop(self) -> None:
        """A gateway that stops ends its programs."""
        gateway = self.start_assistant(
            f"--agent=exec:{sys.executable} -m agents", "--drain=0.2", environment={"PYTHONPATH": PATHS}
        )
        client = self.rpc(gateway)
        client.call("chat.send_stream", session_key="b", text="hang", mode="single")
        client.until("chat.delta")
        programs = psutil.Process(gateway.process.pid).children(recursive=True)
        self.assertEqual(len(programs), 1)
        self.terminate(gateway)
        self.assertFalse([one for one in programs if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])
