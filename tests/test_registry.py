"""Tokens and routes of the registry, over real processes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx

from anp_twisted.auth.sharedauth import SharedSigner
from anp_twisted.cli import route, token
from tests.databases import command, shake
from tests.harness import EndToEnd, Gateway, Receiver, wait_until
from tests.hostile import Hostile


class RegistryTestCase(EndToEnd):
    """Has a folder in which a registry is kept."""

    def command(self, *arguments: str) -> str:
        """Run C{anp-proxy token} or C{anp-proxy route}, and return what it prints."""
        which, *rest = arguments
        folder = str(self.folder / "anp-state")
        return command({"token": token, "route": route}[which], *rest, "--state-dir", folder)

    def gateway(self, *options: str) -> Gateway:
        """Start a gateway that keeps its registry in that folder."""
        return self.start_gateway("--host=127.0.0.1", "--connect-timeout=0.3", *options)

    def receiver(self, gateway: Gateway, secret: str, name: str, *options: str, connected: bool = True) -> Receiver:
        """Start a receiver whose application says its name."""
        file = self.folder / f"{name}.token"
        file.write_text(secret)
        file.chmod(0o600)
        return self.start_receiver(
            gateway,
            "whoami:app",
            f"--token-file={file}",
            *options,
            environment={"NAME_OF_APP": name},
            connected=connected,
        )

    def manage(self, gateway: Gateway, page: str, **question: str) -> Any:
        """Change the registry by way of the management port."""
        url = f"{gateway.management}/registry/{page}"
        self.assertEqual(httpx.post(url, json=question, trust_env=False).status_code, 401)
        secret = (self.folder / "anp-state" / "management.token").read_text().strip()
        answer = httpx.post(url, json=question, headers={"Authorization": f"Bearer {secret}"}, trust_env=False)
        return answer.json()

    def who(self, gateway: Gateway, path: str, host: str = "gate.test") -> str:
        """Which application answers, or the status."""
        answer = httpx.get(gateway.url + path, headers={"Host": host}, trust_env=False, timeout=30)
        return answer.text if answer.status_code == 200 else str(answer.status_code)


class TokenTests(RegistryTestCase):
    """Each receiver has a token of its own."""

    def test_life(self) -> None:
        """Made, used, rotated, revoked: each is in effect at once, and nobody else notices."""
        gateway = self.gateway()
        ann = self.receiver(gateway, self.command("token", "create", "ann", "--allow=/a"), "ann")
        bob = self.receiver(gateway, self.command("token", "create", "bob", "--allow=/b"), "bob")
        self.assertEqual([self.who(gateway, path) for path in ("/a", "/b/x")], ["ann", "bob"])
        new = self.command("token", "rotate", "ann", "--overlap=1h")
        second = self.receiver(gateway, new, "second")
        wait_until(lambda: {self.who(gateway, "/a") for _ in range(4)} == {"ann", "second"}, "two share a place")
        self.assertEqual(self.manage(gateway, "tokens/revoke", name="ann"), {"revoked": 2})
        wait_until(lambda: "refused the token (4003)" in ann.log() and "(4003)" in second.log(), "both are sent away")
        self.assertEqual(shake(gateway, f"Bearer {new}"), 401)
        self.assertEqual([self.who(gateway, path) for path in ("/a", "/b")], ["503", "bob"])
        self.assertNotIn("lost", bob.log())
        for program in (gateway, ann, second, bob):
            for secret in (new, (self.folder / "ann.token").read_text(), (self.folder / "bob.token").read_text()):
                self.assertNotIn(secret, program.log())

    def test_places(self) -> None:
        """A place belongs to one, by host and by path, also while its owner is away."""
        self.command("token", "create", "ann", "--allow=/a", "--allow=ann.test", "--out", str(self.folder / "ann"))
        self.command("route", "add", "*.ann.test/deep", "ann")
        gateway = self.gateway()
        shared = (self.folder / "anp-state" / "receiver.token").read_text().strip()
        root = self.receiver(gateway, shared, "root")
        thief = self.receiver(gateway, shared, "thief", "--path=/a/b", connected=False)
        wait_until(lambda: "(4003)" in thief.log(), "a place of somebody else is refused")
        self.assertEqual(self.who(gateway, "/x"), "root")
        ann = self.receiver(gateway, (self.folder / "ann").read_text().strip(), "ann")
        rows = {("/a", "gate.test"): "ann", ("/", "ann.test"): "ann", ("/deep", "x.y.ann.test"): "ann",
                ("/ab", "gate.test"): "root"}  # fmt: skip
        self.assertEqual({row: self.who(gateway, *row) for row in rows}, rows)
        # Nobody's: for a while after the start somebody may be on the way.
        self.assertIn(self.who(gateway, "/", "x.ann.test"), ("404", "503"))
        self.terminate(ann)
        self.assertEqual(self.who(gateway, "/", "ann.test"), "503")
        self.assertNotIn("lost", root.log())


class SharedSecretTests(RegistryTestCase):
    """One secret for all, that is never sent."""

    def test_secret(self) -> None:
        """Who knows it gets in, who replays what was sent does not, also after a restart; it is nowhere to be read."""
        secret = "geheim-geheim-geheim"
        knows = {"ANP_SHARED_SECRET": secret}
        options = ("--host=127.0.0.1", "--public-host=127.0.0.1", "--connect-timeout=0.3")
        gateway = self.start_gateway(*options, environment=knows)
        receiver = self.start_receiver(gateway, "whoami:app", environment={**knows, "NAME_OF_APP": "ann"})
        self.assertEqual(self.who(gateway, "/"), "ann")
        sent = SharedSigner(secret, wall=time.time, nonce=lambda: token_hex(16)).authorization("127.0.0.1")
        self.assertEqual([shake(gateway, sent) for _ in range(3)], [101, 401, 401])
        wrong = SharedSigner(secret + "x", wall=time.time, nonce=lambda: token_hex(16)).authorization("127.0.0.1")
        self.assertEqual(shake(gateway, wrong), 401)
        self.terminate(gateway)
        again = self.start_gateway(*options, port=gateway.port, environment=knows)
        wait_until(lambda: self.who(again, "/") == "ann", "the receiver is back with a new proof")
        self.assertEqual(shake(again, sent), 401)
        stats = httpx.get(f"{again.management}/stats", trust_env=False).text
        command = Path(f"/proc/{again.process.pid}/cmdline").read_text() if Path("/proc").is_dir() else ""
        for text in (gateway.log(), again.log(), receiver.log(), stats, command):
            self.assertNotIn("geheim", text)


class HijackTests(RegistryTestCase):
    """
    Three receivers, one of them hostile.

    @ivar late: how many answers of the others came too late.
    """

    late = 0

    def call(self, gateway: Gateway, numbers: Sequence[int]) -> list[str]:
        """Call all three in turn, and return what did not come from where it should have."""
        wrong = []
        with httpx.Client(trust_env=False, timeout=30) as client:
            for number in numbers:
                for name in ("ann", "bob"):
                    path = f"/{name}/{number}"
                    answer = client.get(gateway.url + path)
                    if answer.status_code == 504:
                        self.late += 1  # a machine that is busy with something else
                    elif (answer.status_code, answer.text, answer.headers.get("x-path")) != (200, name, path):
                        wrong.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                if number % 10 == 0:
                    wrong += self.call_hostile(client, f"{gateway.url}/evil/{number}")
        return wrong

    def call_hostile(self, client: httpx.Client, url: str) -> list[str]:
        """Call the third; nothing, an error or a broken answer is what its callers deserve."""
        try:
            answer = client.get(url)
        except httpx.HTTPError:
            return []
        expected = answer.status_code >= 500 or answer.text == "evil"
        return [] if expected else [f"{url}: {answer.status_code} {answer.text[:200]}"]

    def test_hijack(self) -> None:
        """Whatever it sends, each caller gets the bytes of the receiver that was asked."""
        trials = 10_000 if os.environ.get("ANP_HIJACK") == "full" else 600
        gateway = self.gateway("--first-byte-timeout=1")
        for name in ("ann", "bob"):
            secret = self.command("token", "create", name, f"--allow=/{name}")
            self.receiver(gateway, secret, name)
        hostile = Hostile(gateway)
        hostile.start()
        callers = 8
        with ThreadPoolExecutor(callers) as pool:
            shares = [range(number, trials // 2, callers) for number in range(callers)]
            wrong = [one for some in pool.map(lambda share: self.call(gateway, share), shares) for one in some]
        hostile.over.set()
        hostile.join(20)
        print(
            f"{2 * (trials // 2)} requests over three receivers, {hostile.frames} hostile frames "
            f"over {hostile.links} links, {len(wrong)} mixed, {self.late} late"
        )
        self.assertEqual(wrong, [])
        self.assertLess(self.late, trials // 50)
        self.assertGreater(hostile.frames, trials // 20)
