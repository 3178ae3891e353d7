"""Several links, several gateways, proxies, and receivers that die: over real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import trustme

from tests.harness import EndToEnd, Gateway, Program, Receiver, free_port, wait_until
from tests.test_faults import FaultCase

PROXY = Path(__file__).with_name("connect_proxy.py")


class LinksTests(FaultCase):
    """C{--links}."""

    def test_share(self) -> None:
        """Requests are shared among the links, and there are never more than the process wants."""
        gateway = self.start_gateway()
        self.start_receiver(gateway, "lab:app", "--links=3", "--capacity=4")
        wait_until(lambda: len(self.stats(gateway)["receivers"]) == 3, "three links")
        most: Counter[int] = Counter()
        with ThreadPoolExecutor(8) as pool:
            began = time.monotonic()
            answers = [pool.submit(httpx.get, f"{gateway.url}/wait?seconds=0.5", trust_env=False) for _ in range(8)]
            while not all(answer.done() for answer in answers):
                busy = [one["in_flight"] for one in self.stats(gateway)["receivers"]]
                most[0] = max(most[0], sum(busy))
                most[1] = max(most[1], *busy)
        self.assertEqual([answer.result().status_code for answer in answers], [200] * 8)
        self.assertEqual((most[0], most[1]), (4, 2))
        self.assertGreaterEqual(time.monotonic() - began, 1.0)

    def test_one_process_is_one(self) -> None:
        """A receiver with four links gets no more of the load than one with one."""
        gateway = self.start_gateway()
        self.start_receiver(gateway, "lab:app", "--links=4")
        self.start_receiver(gateway, "lab:app")
        wait_until(lambda: len(self.stats(gateway)["receivers"]) == 5, "five links")
        with ThreadPoolExecutor(10) as pool:
            answers = [pool.submit(httpx.get, f"{gateway.url}/wait?seconds=1", trust_env=False) for _ in range(10)]
            wait_until(lambda: self.stats(gateway)["requests"]["running"] == 10, "all run")
            busy = {one["name"]: one["in_flight"] for one in self.stats(gateway)["receivers"]}
        self.assertEqual([answer.result().status_code for answer in answers], [200] * 10)
        self.assertEqual(sorted(busy.values()), [1, 1, 1, 2, 5])

    def test_drain(self) -> None:
        """A receiver with several links that is told to stop under load costs no request."""
        gateway = self.start_gateway()
        receivers = [self.start_receiver(gateway, "lab:app", "--links=3") for _ in range(2)]
        wrong: list[int] = []
        end = time.monotonic() + 4

        def work() -> None:
            with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as client:
                while time.monotonic() < end:
                    status = client.post("/up", content=b"x" * 1000).status_code
                    if status != 200:
                        wrong.append(status)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(1)  # some load before
        self.terminate(receivers[0])
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class KilledUnderLoadTests(FaultCase):
    """C{kill -9} of one of two receivers."""

    def load(self, gateway: Gateway, seconds: float) -> tuple[list[threading.Thread], list[tuple[str, Any]]]:
        """Ask with and without harm from twelve callers for a while; everything is written down."""
        seen: list[tuple[str, Any]] = []
        end = time.monotonic() + seconds

        def work(number: int) -> None:
            method = ("GET", "PUT", "POST")[number % 3]
            body = None if method == "GET" else b"x" * 2000
            with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as client:
                while time.monotonic() < end:
                    try:
                        answer = client.request(method, "/wait?seconds=0.2", content=body)
                        seen.append((method, (answer.status_code, answer.text)))
                    except httpx.HTTPError as error:
                        seen.append((method, repr(error)))

        threads = [threading.Thread(target=work, args=[number]) for number in range(12)]
        for thread in threads:
            thread.start()
        return threads, seen

    def kill_one(self, *options: str) -> None:
        """What could be asked again was; of the rest each is a 502 of the tunnel."""
        gateway = self.start_gateway()
        victim, _ = (self.start_receiver(gateway, "lab:app", *options) for _ in range(2))
        threads, seen = self.load(gateway, 3)
        time.sleep(1)  # some load before
        running = self.stats(gateway)["requests"]["running"]
        victim.signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        bad = [(method, found) for method, found in seen if found != (200, "waited")]
        self.assertEqual({method for method, _ in bad} - {"POST"}, set(), bad)
        for _, found in bad:
            self.assertEqual(found[0], 502, found)
            self.assertEqual(json.loads(found[1])["source"], "tunnel")
        self.assertLessEqual(len(bad), 4, "no more than there were POSTs under way")
        self.assertGreater(running, 0)
        stats = self.stats(gateway)["requests"]
        self.assertGreater(stats["repeated"], 0)
        self.assertEqual((stats["running"], stats["parked"]), (0, 0))
        self.assertGreater(len(seen), 50)

    def test_one_link(self) -> None:
        """With one link each."""
        self.kill_one()

    def test_several_links(self) -> None:
        """With several, which go down one after the other."""
        self.kill_one("--links=4")


class ParkingTests(FaultCase):
    """A route whose only receiver is on its way back."""

    def test_waits(self) -> None:
        """A request waits for it, and is answered by it."""
        gateway = self.start_gateway()
        receiver = self.start_receiver(gateway, "lab:app")
        receiver.signal(signal.SIGKILL)
        wait_until(lambda: not self.stats(gateway)["receivers"], "it is gone")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx.get, f"{gateway.url}/small", timeout=20, trust_env=False)
            wait_until(lambda: self.stats(gateway)["requests"]["parked"], "the request waits")
            self.start_receiver(gateway, "lab:app")
            self.assertEqual(answer.result().status_code, 200)

    def test_not_for_ever(self) -> None:
        """After 5 s it is a 503 that says when to come back."""
        gateway = self.start_gateway()
        receiver = self.start_receiver(gateway, "lab:app")
        receiver.signal(signal.SIGKILL)
        wait_until(lambda: not self.stats(gateway)["receivers"], "it is gone")
        began = time.monotonic()
        answer = httpx.get(f"{gateway.url}/small", timeout=20, trust_env=False)
        self.assertEqual((answer.status_code, answer.headers["retry-after"]), (503, "1"))
        self.assertTrue(4.9 < time.monotonic() - began < 7.5, time.monotonic() - began)


class GatewaysTests(EndToEnd):
    """Several C{--gateway}."""

    def setUp(self) -> None:
        """Start two gateways with one token."""
        super().setUp()
        self.ports = [free_port(), free_port()]
        self.gateways = [self.start_gateway(port=port) for port in self.ports]

    def served(self, gateway: Gateway) -> int:
        """Ask one of them."""
        return httpx.get(f"{gateway.url}/small", timeout=20, trust_env=False).status_code

    def test_all(self) -> None:
        """Each of them reaches the application; when one goes the other does not notice."""
        receiver = self.start_receiver(self.gateways[0], "lab:app", f"--gateway={self.gateways[1].link}")
        wait_until(lambda: receiver.log().count("connected to") == 2, "both links")
        self.assertEqual([self.served(gateway) for gateway in self.gateways], [200, 200])
        self.gateways[0].signal(signal.SIGKILL)
        self.gateways[0].wait()
        self.assertEqual([self.served(self.gateways[1]) for _ in range(10)], [200] * 10)

    def test_first(self) -> None:
        """The first serves, the second when it is gone, the first again when the second is gone."""
        receiver = self.start_receiver(
            self.gateways[0], "lab:app", f"--gateway={self.gateways[1].link}", "--gateways=first", "--links=2"
        )
        wait_until(lambda: receiver.log().count("connected to") == 2, "both links")
        self.assertEqual((self.served(self.gateways[0]), self.served(self.gateways[1])), (200, 503))
        self.gateways[0].signal(signal.SIGKILL)
        self.gateways[0].wait()
        began = time.monotonic()
        wait_until(lambda: self.served(self.gateways[1]) == 200, "the second gateway serves")
        self.assertLess(time.monotonic() - began, 5)
        first = self.start_gateway(port=self.ports[0])
        self.terminate(self.gateways[1])
        wait_until(lambda: self.served(first) == 200, "the first gateway serves again")


class ProxyTests(EndToEnd):
    """An HTTP proxy between receiver and gateway."""

    def setUp(self) -> None:
        """Start a gateway with TLS for a name that only the proxy can reach."""
        super().setUp()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        for name in ("gate.example", "other.example"):
            certificate = authority.issue_cert(name)
            key = self.folder / f"{name}.key"
            os.close(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600))
            certificate.private_key_pem.write_to_path(key)
            certificate.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")
        self.gateway = self.tls_gateway("gate.example")
        self.where = f"wss://gate.example:{self.gateway.port}/ws"

    def tls_gateway(self, name: str) -> Gateway:
        """Start a gateway with the certificate of a name."""
        return self.start_gateway(f"--tls-cert={name}.pem", f"--tls-key={name}.key")

    def start_proxy(self, *arguments: str) -> tuple[Program, str]:
        """Start a proxy and return where it is."""
        proxy = self.start_program(sys.executable, str(PROXY), *arguments, name="proxy")
        return proxy, f"127.0.0.1:{proxy.line()}"

    def receiver(self, *options: str, gateway: str = "", **keywords: Any) -> Receiver:
        """Start a receiver that trusts the authority."""
        receiver = Receiver(self.folder, gateway or self.where, "lab:app", "--ca-file=ca.pem", *options, **keywords)
        self.addCleanup(receiver.end)
        return receiver

    def serves(self) -> bool:
        """Whether the gateway reaches the application."""
        answer = httpx.get(f"https://127.0.0.1:{self.gateway.port}/small", verify=False, trust_env=False, timeout=20)
        return answer.status_code == 200

    def complaint(self, receiver: Receiver) -> str:
        """Wait for the line that says why there is no link."""
        return str(
            wait_until(lambda: [line for line in receiver.log().splitlines() if "cannot connect" in line], "it")[0]
        )

    def test_option(self) -> None:
        """The proxy of the command line; TLS is from end to end, for the name that the proxy resolves."""
        proxy, where = self.start_proxy()
        self.receiver(f"--proxy=http://{where}", "--links=2")
        self.assertTrue(self.serves())
        self.assertEqual(proxy.line(), f"gate.example:{self.gateway.port} 200")

    def test_environment(self) -> None:
        """The proxy of the environment, with a password, which no log shows; exceptions are kept."""
        proxy, where = self.start_proxy("me:hunter2")
        url = f"http://me:hunter2@{where}"
        receiver = self.receiver(environment={"HTTPS_PROXY": url})
        self.assertTrue(self.serves())
        self.assertTrue(proxy.line().endswith(" 200"))
        self.assertNotIn("hunter2", receiver.log())
        receiver = self.receiver(environment={"HTTPS_PROXY": url, "NO_PROXY": ".example"}, connected=False)
        self.assertIn("the gateway's name cannot be resolved", self.complaint(receiver))

    def test_own_settings(self) -> None:
        """The password may stand in ANP_PROXY or in a file that only its owner reads, never in an argument."""
        _, where = self.start_proxy("me:hunter2")
        url = f"http://me:hunter2@{where}"
        self.receiver(environment={"ANP_PROXY": url}).end()
        config = self.folder / "anp.toml"
        config.write_text(f'proxy = "{url}"\n')
        config.chmod(0o644)
        refused = self.receiver("--config=anp.toml", connected=False)
        self.assertEqual(refused.wait(), 1)
        self.assertIn("chmod 600", refused.log())
        config.chmod(0o600)
        self.receiver("--config=anp.toml").end()
        refused = self.receiver(f"--proxy={url}", connected=False)
        self.assertEqual(refused.wait(), 1)
        self.assertIn("others can read arguments", refused.log())
        self.assertNotIn("hunter2", refused.log())

    def test_refusals(self) -> None:
        """Each is one line that names the proxy."""
        _, where = self.start_proxy("me:other")
        for proxy, words in [
            (where, "the proxy asks for other credentials (407)"),
            (f"127.0.0.1:{free_port()}", "nothing listens at the proxy's address"),
            (f"127.0.0.1:{self.gateway.port}", "the proxy closed the connection before it answered"),
        ]:
            receiver = self.receiver(f"--proxy=http://{proxy}", connected=False)
            line = self.complaint(receiver)
            self.assertIn(words, line)
            receiver.end()

    def test_not_who_it_was_to_be(self) -> None:
        """A proxy that leads elsewhere is found out by the certificate."""
        other = self.tls_gateway("other.example")
        _, where = self.start_proxy()
        receiver = self.receiver(
            f"--proxy=http://{where}", gateway=f"wss://gate.example:{other.port}/ws", connected=False
        )
        self.assertIn("certificate", self.complaint(receiver))
