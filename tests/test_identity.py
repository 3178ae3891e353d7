"""
Who is let in, and who is not, by real gateways.

Set C{ANP_IDENTITY=full} for a thousand attempts with one proof instead of two hundred.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.harness import EndToEnd, Gateway, free_port, wait_until
from tests.identities import Did, PrivateCa, handshake, handshakes

FULL = os.environ.get("ANP_IDENTITY") == "full"
MANY = 1_000 if FULL else 200
REDIS = "/usr/bin/redis-server"

APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = repr(scope["extensions"]["anp"]["identity"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""

HOSTILE = [
    "did:wba:localhost%3A{port}", "did:wba:localhost%3A{port}:a", "did:wba:127.0.0.1%3A{port}",
    "did:wba:127.1%3A{port}", "did:wba:0x7f.1%3A{port}", "did:wba:2130706433%3A{port}",
    "did:wba:017700000001%3A{port}", "did:wba:[::1]%3A{port}", "did:wba:%5B::1%5D%3A{port}",
    "did:wba:[::ffff:127.0.0.1]%3A{port}", "did:wba:0%3A{port}", "did:wba:0.0.0.0%3A{port}",
    "did:wba:user@localhost%3A{port}", "did:wba:user%40localhost%3A{port}", "did:wba:localhost%3A{port}?x",
    "did:wba:localhost%3A{port}#x", "did:wba:localhost%3A{port}%2Fx", "did:wba:localhost%3A{port}:%2e%2e:x",
    "did:wba:localhost%3A{port}:..:x", "did:wba:a.example%3A{port}@localhost", "did:wba:localhost.%3A{port}",
    "did:wba:169.254.169.254:latest", "did:wba:metadata.google.internal", "did:wba:localhost",
]  # fmt: skip


class DocumentServer:
    """
    Serves documents, well and badly, by their names.

    @ivar asked: the paths, in order.
    """

    def __init__(self, authority: PrivateCa) -> None:
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.answer(self, self.path.split("/")[1])

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.ca.issue_cert("localhost").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, name: str) -> None:
        """Answer as the name says."""
        body = self.documents.get(name, b"")
        if name == "redirect":
            request.send_response(302)
            request.send_header("Location", "/good/did.json")
            body = b""
        else:
            request.send_response(404 if name == "gone" else 200)
        if name in ("large", "endless"):
            body = body.rstrip().removesuffix(b"}") + b',"x":"' + b"a" * (1 << 20) + b'"}'
        if name != "endless":
            request.send_header("Content-Length", str(len(body) + (name == "broken")))
        request.end_headers()
        if name == "slow":
            time.sleep(7)
        with contextlib.suppress(OSError):
            request.wfile.write(body)

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


class Listener:
    """
    Counts who comes.

    @ivar came: how many did.
    """

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.came += 1
            peer.close()


class IdentityTests(EndToEnd):
    """Gateways and receivers as processes."""

    def setUp(self) -> None:
        """Make DIDs and an application."""
        super().setUp()
        (self.folder / "who.py").write_text(APP)
        self.alice = Did(self.folder, "alice")

    def gateway(self, *options: str, **keywords: object) -> Gateway:
        """Start a gateway that knows Alice and lets her in."""
        known = [f"--known-did={self.alice.document}", f"--allow-did={self.alice.text}=/a", "--public-host=localhost"]
        return self.start_gateway("--host=127.0.0.1", *known, *options, **keywords)

    # --- the stranger's path ----------------------------------------------

    def test_path(self) -> None:
        """A DID, two commands, and a public URL, which callers with a DID reach, over TLS of a private CA."""
        authority, bob = PrivateCa(self.folder), Did(self.folder, "bob", "--key=ed25519")
        config = self.folder / "gateway.toml"
        config.write_text(f'[gateway.routes."/a/private"]\nauth = "did"\nallow_did = "{bob.text}"\n')
        gateway = self.gateway(f"--known-did={bob.document}", f"--config={config}", *authority.options)
        url = f"wss://localhost:{gateway.port}/ws"
        command = [f"--ca-file={authority.ca_file}", "--path=/a", *self.alice.options]
        receiver = self.start_program(
            *_twistd(), "anp-receiver", "--app=who:app", f"--gateway={url}", *command, name="receiver"
        )
        self.assertEqual(receiver.line(), f"https://127.0.0.1:{gateway.port}/a")
        client = self.client(f"https://localhost:{gateway.port}", verify=authority.context())
        self.assertEqual(client.get("/a/x").text, "None")
        self.assertEqual(client.get("/a/private").status_code, 401)
        proof = {"Authorization": bob.header(), "ANP-Identity": "did:wba:evil.example"}
        answer = client.get("/a/private", headers=proof)
        self.assertEqual((answer.status_code, answer.text), (200, str({"kind": "did", "name": bob.text})))
        self.assertEqual(client.get("/a/private", headers=proof).status_code, 401, "the same proof again")
        refused = client.get("/a/private", headers={"Authorization": self.alice.header()})
        self.assertEqual(refused.status_code, 403)
        self.assertIn(f"receiver {self.alice.text}@", gateway.log())

    def test_certificate(self) -> None:
        """A client certificate of the private CA is enough; one of another CA is none."""
        authority = PrivateCa(self.folder)
        gateway = self.gateway(*authority.options, f"--client-ca={authority.ca_file}")
        good = authority.issue(self.folder, "good", "x.example", common_name="printer")
        other = PrivateCa(_made(self.folder / "other"))
        foreign = other.issue(self.folder, "bad", "x.example", common_name="printer")
        for pair, connected in ((good, True), (foreign, False)):
            receiver = self.start_program(
                *_twistd(), "anp-receiver", "--app=who:app", f"--gateway=wss://localhost:{gateway.port}/ws",
                f"--ca-file={authority.ca_file}", f"--tls-cert={pair[0]}", f"--tls-key={pair[1]}", name="receiver",
            )  # fmt: skip
            if connected:
                receiver.line()
                self.assertIn("receiver certificate:printer@", gateway.log())
                self.terminate(receiver)
            else:
                wait_until(lambda log=receiver.log: "cannot connect" in log(), "the refusal")
        client = self.client(f"https://localhost:{gateway.port}", verify=authority.context())
        self.assertEqual(client.get("/health").status_code, 200, "callers need none")

    def test_mutual(self) -> None:
        """A receiver that asks for it is linked only to the gateway that proves its DID, or knows the secret."""
        gate, other = Did(self.folder, "gate", "--key=ed25519"), Did(self.folder, "other")
        own = [f"--did-document={gate.document}", f"--did-key={gate.key}", "--public-host=127.0.0.1"]
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text("correct horse battery staple\n")
        proving = self.gateway(*own, f"--shared-secret-file={secret}")
        silent = self.gateway("--public-host=127.0.0.1")
        wants, others = [f"--gateway-did={gate.document}"], [f"--gateway-did={other.document}"]
        knows = [f"--shared-secret-file={secret}"]
        for gateway, options, connected in (
            (proving, ["--path=/a", *self.alice.options, *wants], True),
            (proving, ["--path=/a", *self.alice.options, *others], False),
            (silent, ["--path=/a", *self.alice.options, *wants], False),
            (proving, ["--path=/b", *knows], True),
        ):
            receiver = self.start_receiver(gateway, "who:app", *options, connected=False)
            words = "connected to" if connected else "the gateway"
            wait_until(lambda log=receiver.log, words=words: words in log(), f"{words}: {options}")
            self.assertEqual("connected to" in receiver.log(), connected, receiver.log())
            self.terminate(receiver)

    # --- refusals ---------------------------------------------------------------

    def test_credentials(self) -> None:
        """Right, and wrong in each of its parts."""
        gateway, mallory = self.gateway(), Did(self.folder, "mallory")
        good = self.alice.header()
        rows = [
            (good, 101), (good, 401), (self.alice.header("other.example"), 401), (self.alice.header(ago=400), 401),
            (self.alice.header(ago=-100), 401), (mallory.header(did=self.alice.text), 401), (mallory.header(), 401),
            ("", 401), ("DIDWba", 401), ("Bearer " + good.partition(" ")[2], 401), (good[:-1], 401),
            (self.alice.header().replace('v="1.0"', 'v="1.1"'), 401), (self.alice.header(), 101),
        ]  # fmt: skip
        found = [handshake(gateway.port, header) for header, _ in rows]
        self.assertEqual(found, [status for _, status in rows])
        self.assertNotIn("Traceback", gateway.log())

    def test_secrets(self) -> None:
        """Nothing that was shown, and no key, is in a log, an answer or the list of processes."""
        gateway = self.gateway("--public-host=127.0.0.1")
        receiver = self.start_receiver(gateway, "who:app", "--path=/a", *self.alice.options, connected=False)
        wait_until(lambda: "connected to" in receiver.log(), "the link")
        header = self.alice.header()
        handshake(gateway.port, header[:-3] + 'AA"')
        canaries = [header.rpartition('signature="')[2][:20], self.alice.key.read_text().split("\n")[1][:40]]
        stats = self.client(gateway.management).get("/stats").text
        arguments = "".join(Path(f"/proc/{p.process.pid}/cmdline").read_text() for p in (gateway, receiver))
        hits = sum(canary in text for canary in canaries for text in (gateway.log(), receiver.log(), stats, arguments))
        self.assertEqual(hits, 0)

    def test_nowhere(self) -> None:
        """A DID that names this machine, in whatever spelling, gets no packet here."""
        listener = Listener()
        self.addCleanup(listener.socket.close)
        gateway = self.start_gateway("--host=127.0.0.1", "--public-host=localhost", f"--did-port={listener.port}")
        headers = [self.alice.header(did=text.format(port=listener.port)) for text in HOSTILE]
        statuses = set(handshakes(gateway.port, headers, 8))
        print(f"{len(headers)} hostile DIDs: statuses {sorted(statuses)}, {listener.came} connections")
        self.assertEqual(listener.came, 0)
        self.assertLessEqual(statuses, {401, 429, 503})
        lab = self.start_gateway("--host=127.0.0.1", "--public-host=localhost", "--did-allow-loopback")
        self.assertEqual(handshake(lab.port, self.alice.header(did=f"did:wba:localhost%3A{listener.port}")), 401)
        self.assertEqual(listener.came, 1, "the switch for laboratories is obeyed")

    def test_fetch(self) -> None:
        """Documents come over HTTPS: whole, small, from where they belong, and once; anything else is no document."""
        authority = PrivateCa(self.folder)
        server = DocumentServer(authority)
        self.addCleanup(server.close)
        options = ["--host=127.0.0.1", "--public-host=localhost", "--did-allow-loopback"]
        gateway = self.start_gateway(
            *options, f"--did-ca-file={authority.ca_file}", f"--allow-did=did:wba:localhost%3A{server.port}:*"
        )
        names = ["good", "good", "redirect", "large", "endless", "gone", "other", "broken", "slow"]
        dids = {name: Did(self.folder, name, f"--port={server.port}") for name in set(names)}
        server.documents = {name: did.document.read_bytes() for name, did in dids.items()}
        server.documents["other"] = server.documents["good"]
        started = time.monotonic()
        statuses = handshakes(gateway.port, [dids[name].header() for name in names], 1)
        print(f"fetched: {dict(zip(names, statuses, strict=True))}, {time.monotonic() - started:.1f} s")
        self.assertEqual(statuses, [101, 101] + [401] * 7)
        self.assertEqual(sorted(server.asked), sorted(f"/{name}/did.json" for name in names[1:]))
        self.assertEqual(handshake(gateway.port, dids["gone"].header()), 401)
        self.assertEqual(server.asked.count("/gone/did.json"), 1, "a failure is remembered")
        self.assertNotIn("Traceback", gateway.log())
        strict = self.start_gateway(*options, f"--allow-did={dids['good'].text}")
        self.assertEqual(handshake(strict.port, dids["good"].header()), 401, "a CA that nobody trusts")

    # --- replay -------------------------------------------------------------------

    def replayed(self, *options: str) -> list[int]:
        """Show one proof many times to two workers, restart the gateway, and show it again."""
        proof, port = self.alice.header(), free_port()
        first = self.gateway("--workers=2", *options, port=port)
        statuses = handshakes(first.port, [proof] * MANY)
        self.terminate(first)
        second = self.gateway("--workers=2", *options, port=port)
        statuses += handshakes(second.port, [proof] * 20)
        self.assertEqual(handshake(second.port, self.alice.header()), 101)
        counts = {status: statuses.count(status) for status in sorted(set(statuses))}
        print(f"{len(statuses)} attempts with one proof: {counts}")
        return statuses

    def test_replay(self) -> None:
        """One proof shown many times at once, to two workers and after a restart, opens once."""
        statuses = self.replayed()
        self.assertEqual(statuses.count(101), 1)
        self.assertLessEqual(set(statuses), {101, 401, 503})

    def test_redis(self) -> None:
        """The same with Redis; while it is away nobody gets in, and when it is back everybody does who may."""
        if not os.path.exists(REDIS):
            raise SkipTest("redis-server is not installed")
        port = free_port()
        self.redis(port)
        url = {"ANP_REPLAY_URL": f"redis://127.0.0.1:{port}/0"}
        proof = self.alice.header()
        gateways = [self.gateway(environment=url, port=0) for _ in range(2)]
        statuses = [status for gateway in gateways for status in handshakes(gateway.port, [proof] * 50, 25)]
        self.assertEqual(statuses.count(101), 1)
        program = self.running
        for stop, go_on in ((signal.SIGSTOP, signal.SIGCONT), (signal.SIGKILL, None)):
            program.signal(stop)
            started = time.monotonic()
            self.assertEqual(handshake(gateways[0].port, self.alice.header()), 503)
            waited = time.monotonic() - started
            if go_on is None:
                program.wait()
                self.redis(port)
            else:
                program.signal(go_on)
            back = time.monotonic()
            wait_until(lambda: handshake(gateways[0].port, self.alice.header()) == 101, "Redis is back")
            print(f"Redis {stop.name}: refused in {waited:.2f} s, back in {time.monotonic() - back:.2f} s")
            self.assertLess(waited, 3.0)

    def redis(self, port: int) -> None:
        """Start a server that keeps everything in a file of its own."""
        words = [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]
        self.running = self.start_program(*words, "--dir", str(self.folder), name="redis")
        wait_until(lambda: handshake_redis(port), "Redis answers")


def handshake_redis(port: int) -> bool:
    """Whether Redis answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as peer:
            peer.sendall(b"PING\r\n")
            return peer.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def _twistd() -> list[str]:
    from tests.harness import twistd

    return [twistd(), "-n", "--pidfile="]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
