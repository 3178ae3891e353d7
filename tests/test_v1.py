"""Peers of version 1, which know nothing of version 2, on both sides: over real processes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from itertools import pairwise
from typing import Any

import httpx
from websockets.exceptions import InvalidStatus

from anp_twisted.cli.main import main
from tests.harness import EndToEnd, Gateway, Receiver, wait_until
from tests.peers.gateway import V1Gateway
from tests.peers.receiver import ChunkingReceiver, GarbageReceiver, SerialReceiver, ThievingReceiver

FULL = os.environ.get("ANP_V1") == "full"
MIB = 2**20
BLOCK = bytes(range(256)) * 256


class GatewayCase(EndToEnd):
    """A gateway of ours, on which each receiver has a token and a path of its own."""

    gateway: Gateway

    def start(self, *options: str) -> None:
        """Start the gateway."""
        self.gateway = self.start_gateway(*options)
        self.http = self.client(self.gateway.url)

    def token(self, name: str, path: str) -> str:
        """Make the token of a receiver, and give it a path."""
        where = f"--state-dir={self.folder / 'anp-state'}"
        said = io.StringIO()
        with redirect_stdout(said):
            self.assertEqual(main(["route", "add", path, name, where]), 0)
            self.assertEqual(main(["token", "create", name, where]), 0)
        return said.getvalue().split()[-1]

    def connect(self, kind: type[SerialReceiver], token: str, **more: Any) -> Any:
        """Connect a receiver of version 1, as soon as the gateway knows whose the places are."""

        def attempt() -> SerialReceiver | None:
            try:
                return kind(more.get("url", self.gateway.link), f"Bearer {token}")
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    raise
            return None

        receiver = wait_until(attempt, "a receiver is let in")
        self.addCleanup(receiver.close)
        return receiver

    def stats(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        found: dict[str, Any] = httpx.get(f"{self.gateway.management}/stats", trust_env=False).json()
        return found


class ReceiverTests(GatewayCase):
    """Receivers of version 1 behind a gateway of ours."""

    def test_serial(self) -> None:
        """One request at a time, whole, as its library can take it; what is too large is told before it is read."""
        token = self.token("serial", "/serial")
        self.start()
        receiver = self.connect(SerialReceiver, token)
        self.until_served("/serial")
        answer = self.http.post("/serial/a%20b?x=1&y=2&x=3", content=b"z" * 1000).json()
        self.assertEqual(
            answer, {"method": "POST", "path": "/serial/a%20b", "query": {"x": "3", "y": "2"}, "size": 1000}
        )
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: self.http.get("/serial").status_code, range(40)))
        self.assertEqual(statuses, [200] * 40)
        chunked = self.http.post("/serial", content=iter([b"a" * 100_000] * 5))
        self.assertEqual(chunked.json()["size"], 500_000)
        for large in (b"x" * (2 * MIB), iter([b"x" * 500_000] * 5)):
            refused = self.http.post("/serial", content=large)
            self.assertEqual((refused.status_code, refused.json()["source"]), (413, "receiver"))
        self.assertEqual((receiver.wrong, receiver.alive), ([], True))
        wait_until(lambda: len(receiver.pongs) >= 3, "its pings are answered")
        self.assertEqual(receiver.pongs[0]["type"], "pong")
        (told,) = self.stats()["receivers"]
        self.assertEqual((told["version"], told["capacity"], told["lost_values"]), (1, 1, 1))

    def until_served(self, path: str) -> None:
        """Wait until a receiver serves a path."""
        wait_until(lambda: self.http.get(path).status_code == 200, f"{path} is served")

    def test_beside_each_other(self) -> None:
        """Three kinds of version 1 and one of version 2: each gets what it can take, and nobody notices the others."""
        kinds = {"serial": SerialReceiver, "chunks": ChunkingReceiver, "garbage": GarbageReceiver}
        tokens = {name: self.token(name, f"/{name}") for name in (*kinds, "modern")}
        self.start()
        receivers = {name: self.connect(kind, tokens[name]) for name, kind in kinds.items()}
        self.start_receiver(self.gateway, "lab:app", "--path=/modern", environment={"ANP_TOKEN": tokens["modern"]})
        for path in ("/serial", "/chunks", "/modern/small"):
            wait_until(lambda path=path: self.http.get(path).status_code != 404, path)
        rounds = 400 if FULL else 60
        jobs = [self.ask_serial, self.ask_chunks, self.ask_modern, self.ask_garbage]
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(jobs[number % 4], number) for number in range(rounds)]
            wrong = [found for future in futures if (found := future.result())]
        self.assertEqual(wrong, [])
        self.assertTrue(receivers["serial"].alive and receivers["chunks"].alive)
        self.assertEqual((receivers["serial"].wrong, receivers["chunks"].wrong), ([], []))
        wait_until(lambda: not receivers["garbage"].alive, "who sends garbage is cut off")
        self.assertEqual(receivers["garbage"].closed_with, 1002)
        self.assertNotIn("Traceback", self.gateway.log())

    def ask_serial(self, number: int) -> str:
        """Ask the serial one."""
        answer = self.http.get(f"/serial/{number}")
        return "" if answer.status_code == 200 and answer.json()["path"] == f"/serial/{number}" else answer.text

    def ask_chunks(self, number: int) -> str:
        """Ask the one that chunks, its metadata anywhere."""
        size = 300_000 + number
        answer = self.http.get(f"/chunks?size={size}&meta={number % 3}")
        return "" if answer.content == (BLOCK * 6)[:size] else f"{answer.status_code} {len(answer.content)}"

    def ask_modern(self, number: int) -> str:
        """Ask the one of version 2."""
        size = 100_000 + number
        answer = self.http.get(f"/modern/down?bytes={size}")
        return "" if answer.content == (BLOCK * 2)[:size] else f"{answer.status_code} {len(answer.content)}"

    def ask_garbage(self, number: int) -> str:
        """Ask the one that sends garbage: whatever it says, the caller gets a fixed text."""
        answer = self.http.get("/garbage", timeout=20)
        good = answer.status_code in (502, 503) and answer.headers["content-type"] == "application/problem+json"
        return "" if good and "nonsense" not in answer.text else answer.text

    def test_chunks_stream(self) -> None:
        """A chunk reaches the caller before the next one was sent."""
        token = self.token("chunks", "/chunks")
        self.start()
        self.connect(ChunkingReceiver, token)
        self.until_served("/chunks")
        begun = time.monotonic()
        with self.http.stream("GET", "/chunks?size=260000&pause=0.3") as answer:
            times = [time.monotonic() - begun for _ in answer.iter_raw(16384)]
        self.assertLess(times[0], 0.25)
        self.assertGreater(times[-1], 0.9)

    def test_thief(self) -> None:
        """Answers to what was not asked reach nobody, and end the link of who sends them."""
        tokens = {name: self.token(name, f"/{name}") for name in ("honest", "thief")}
        self.start()
        self.connect(SerialReceiver, tokens["honest"])
        thief = self.connect(ThievingReceiver, tokens["thief"])
        self.until_served("/honest")
        for number in range(2):
            self.assertEqual(self.http.get(f"/thief/{number}").status_code, 200)
            self.assertEqual(self.http.get("/honest").json()["path"], "/honest")
        self.http.get("/thief", timeout=20)
        wait_until(lambda: thief.closed_with == 1002, "the thief is cut off")
        self.assertEqual(self.http.get("/honest").status_code, 200)

    def test_wrong_token(self) -> None:
        """Who shows a wrong token is refused before the upgrade."""
        self.start()
        for authorization in ("Bearer wrong", "Bearer ", "DIDWba did=x"):
            with self.assertRaises(Exception) as refused:
                SerialReceiver(self.gateway.link, authorization)
            self.assertIn("401", str(refused.exception))

    def test_second_port(self) -> None:
        """Older receivers come to a port of its own, at its root."""
        token = self.token("old", "/")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.start(f"--wss-port={port}")
        self.connect(SerialReceiver, token, url=f"ws://127.0.0.1:{port}")
        self.until_served("/anything")


class GatewayTests(EndToEnd):
    """A receiver of ours behind a gateway of version 1."""

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.v1 = V1Gateway("secret-token")
        self.addCleanup(self.v1.close)

    def connect(self, *options: str, token: str = "secret-token") -> Any:
        """Start a receiver that dials the gateway."""
        return self.dial(self.v1, token, *options)

    def dial(self, gateway: V1Gateway, token: str, *options: str) -> Receiver:
        """Start a receiver that dials some gateway."""
        receiver = Receiver(
            self.folder, gateway.url, "lab:app", *options, environment={"ANP_TOKEN": token}, connected=False
        )
        self.addCleanup(receiver.end)
        return receiver

    def test_requests(self) -> None:
        """Small and large, whole and in chunks, told and untold, both ways."""
        self.connect()
        self.v1.receiver()
        seen = json.loads(self.v1.ask("GET", "/a b/show", query={"x": "1 2", "y": ""}, headers={"X-A": "b"}).body)
        self.assertEqual((seen["path"], seen["raw_path"], seen["query"]), ("/a b/show", "/a%20b/show", "x=1+2&y="))
        self.assertIn(["x-a", "b"], seen["headers"])
        small = self.v1.ask("GET", "/small")
        self.assertEqual((small.meta["status"], small.meta["reason"], small.frames), (200, "OK", 1))
        body = os.urandom(3 * MIB)
        digest = hashlib.sha256(body).hexdigest()
        for cut in (0, 65536, 1_000_000):
            self.assertEqual(json.loads(self.v1.ask("POST", "/up", body=body, cut=cut).body)["sha256"], digest)
        large = self.v1.ask("GET", "/down", query={"bytes": str(5 * MIB)})
        self.assertEqual(large.body, (BLOCK * 80)[: 5 * MIB])
        self.assertGreater(large.frames, 4)
        untold = self.v1.ask("GET", "/events", query={"count": "3", "gap": "0.01"})
        self.assertEqual((untold.frames, untold.body.count(b"data:")), (1, 3))

    def test_long_answers_stream(self) -> None:
        """An answer of known length goes out while it is made, and 20 requests run at once."""
        self.connect()
        answers = [self.v1.start("GET", "/down", query={"bytes": str(3 * MIB)}) for _ in range(20)]
        for answer in answers:
            self.assertTrue(answer.done.wait(20))
            self.assertEqual(len(answer.body), 3 * MIB)

    def test_failures(self) -> None:
        """A failing application becomes an ERROR frame with a text of ours; the link lives on."""
        self.connect()
        for query in ({}, {"bytes": "1000"}, {"bytes": "3000000", "length": "1"}):
            answer = self.v1.ask("GET", "/crash", query=query)
            self.assertEqual(answer.failed, b"the application failed")
        self.assertEqual(self.v1.ask("GET", "/small").meta["status"], 200)

    def test_texts(self) -> None:
        """It says that it is ready, pings in time, and answers what such gateways ask."""
        self.connect("--ping-interval=1")
        self.v1.receiver()
        self.v1.say(type="health_check_request", request_id="h-1")
        self.v1.say(type="service_capability_request", request_id="c-1")
        self.v1.say(type="service_assignment", request_id="a-1")
        self.v1.say(type="nobody knows this", request_id="n-1")
        wait_until(lambda: sum(text["type"] == "ping" for _, text in self.v1.texts) >= 4, "it pings")
        said = [text for _, text in self.v1.texts if text["type"] != "ping"]
        self.assertEqual(said[0]["type"], "connection_ready")
        self.assertIsInstance(said[0]["timestamp"], int)
        kinds = {text["request_id"]: text["type"] for text in said[1:]}
        self.assertEqual(
            kinds,
            {"h-1": "health_check_response", "c-1": "service_capability_response", "a-1": "service_assignment_ack"},
        )
        pings = [when for when, text in self.v1.texts if text["type"] == "ping"]
        self.assertTrue(all(after - before < 1.6 for before, after in pairwise(pings)))

    def test_refused(self) -> None:
        """A refusal before or after the upgrade is about the token, and no reason to hammer at the gateway."""
        for late in (False, True):
            gateway = V1Gateway("another", refuse_late=late)
            self.addCleanup(gateway.close)
            receiver = self.dial(gateway, "wrong")
            wait_until(lambda gateway=gateway: gateway.refused, "it was refused")
            wait_until(lambda receiver=receiver: "cannot connect" in receiver.log() or "lost" in receiver.log(), "told")
            time.sleep(1.0)
            self.assertLessEqual(gateway.refused, 3)
