"""Rules of L{anp_twisted.gateway.admission}, as callers of a gateway in memory meet them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.routes import CorsSettings, RouteSettings
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import ANPError
from anp_twisted.gateway.build import build_admission
from anp_twisted.gateway.front import Front
from anp_twisted.http.channel import PublicFactory
from anp_twisted.http.request import PublicRequest
from anp_twisted.places import parse_place
from anp_twisted.rates import Rate
from anp_twisted.registry.book import NOTHING, Book
from anp_twisted.registry.rows import RouteRow, Snapshot
from anp_twisted.test.gatewaylab import Caller, Lab, LinkInMemory, at_rest
from anp_twisted.wire.heads import ResponseHead

#: The caller of the laboratory.
CALLER = "198.51.100.7"
PROXY: dict[str, Any] = {"trusted_proxy": (f"{CALLER}/32",)}


class AdmissionCase(SynchronousTestCase):
    """A gateway with rules and one receiver."""

    def start(self, routes: dict[str, RouteSettings] | None = None, **settings: Any) -> None:
        """Make the gateway."""
        whole = GatewaySettings(routes=tuple((routes or {}).items()), **settings)
        self.lab = Lab(body=whole.limits().body)
        self.admission = build_admission(whole, self.lab.limits, self.lab.clock)
        entrance: Any = None
        front = Front(self.lab.exchanges, entrance, request_id=lambda: "id-1", admission=self.admission)
        self.lab.exchanges.forwards_ids = self.admission.forwards_ids
        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)
        self.link: LinkInMemory = self.lab.connect()

    def ask(self, target: bytes = b"/", fields: bytes = b"", method: bytes = b"GET", body: bytes = b"") -> Caller:
        """Send a request on a new connection."""
        caller = self.lab.caller()
        caller.send(method + b" " + target + b" HTTP/1.1\r\nHost: gate.example\r\n" + fields + b"\r\n" + body)
        return caller

    def head(self, caller: Caller) -> dict[str, str]:
        """The header fields of an answer, by lower-case name; those given twice are joined."""
        lines = caller.received().partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        found: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            found[name.lower()] = f"{found[name.lower()]} | {value}" if name.lower() in found else value
        return found

    def problem(self, caller: Caller) -> dict[str, Any]:
        """The problem document of an answer."""
        document: dict[str, Any] = json.loads(caller.received().partition(b"\r\n\r\n")[2])
        return document

    def answered(self, caller: Caller, fields: list[tuple[str, str]] | None = None) -> dict[str, str]:
        """Let the application answer, and read the fields."""
        stream = self.link.requests[-1].stream
        stream.send_head(ResponseHead(200, [("content-length", "0"), *(fields or [])]))
        stream.send_end()
        self.lab.settle()
        return self.head(caller)


class WhoTests(AdmissionCase):
    """Who is calling."""

    def test_nobodyTrusted(self) -> None:
        """A stranger's claims are dropped, and the socket tells who calls."""
        self.start()
        self.ask(fields=b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Request-ID: mine\r\n")
        head = self.link.requests[0].head
        self.assertEqual((head.client, head.scheme, head.id), ((CALLER, 4711), "http", "id-1"))
        self.assertEqual(head.headers, [("Host", "gate.example")])

    def test_trusted(self) -> None:
        """What a trusted proxy claims is what the application gets; of the fields only the id goes on, if asked."""
        self.start(show_request_id="all", **PROXY)
        self.ask(
            fields=b"X-Forwarded-For: 6.6.6.6, 2001:db8::9\r\nX-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: abc-1\r\n"
        )
        head = self.link.requests[0].head
        self.assertEqual((head.client, head.scheme, head.id), (("2001:db8::9", 0), "https", "abc-1"))
        self.assertEqual(head.headers, [("Host", "shop.example"), ("X-Request-ID", "abc-1")])
        self.lab.answer(self.link)
        self.assertEqual(
            [(record.caller, record.request_id) for record in self.lab.records], [("2001:db8::9", "abc-1")]
        )

    def test_unreadable(self) -> None:
        """A trusted proxy that cannot be read is refused, and nothing reaches the application."""
        self.start(**PROXY)
        for fields in (b"X-Forwarded-For: x\r\n", b"X-Forwarded-Proto: x\r\n", b"X-Forwarded-Host: a/b\r\n"):
            caller = self.ask(fields=fields)
            self.assertEqual((caller.status, self.problem(caller)["source"]), (400, "gateway"))
        self.assertEqual(self.link.requests, [])

    def test_standard(self) -> None:
        """The same by RFC 7239."""
        self.start(trusted_field=("forwarded",), **PROXY)
        self.ask(fields=b"Forwarded: for=192.0.2.1;proto=https;host=shop.example\r\nX-Forwarded-For: 6.6.6.6\r\n")
        head = self.link.requests[0].head
        self.assertEqual(
            (head.client, head.scheme, head.headers[0]), (("192.0.2.1", 0), "https", ("Host", "shop.example"))
        )

    def test_http10(self) -> None:
        """A request without Host gets the one that the proxy names."""
        self.start(**PROXY)
        self.lab.caller().send(b"GET / HTTP/1.0\r\nX-Forwarded-Host: shop.example\r\n\r\n")
        self.assertEqual(self.link.requests[0].head.headers[0], ("Host", "shop.example"))

    def test_request(self) -> None:
        """Whoever looks at the request itself finds the caller there."""
        self.start(**PROXY)
        seen: list[PublicRequest] = []

        def take(request: PublicRequest) -> None:
            self.admission.greet(request, "id-1")
            seen.append(request)
            request.respond(200, [])

        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, take)
        self.ask(fields=b"X-Forwarded-Host: shop.example\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n")
        (request,) = seen
        self.assertEqual((request.host, request.client, request.scheme), (b"shop.example", ("192.0.2.1", 0), b"https"))

    def test_id(self) -> None:
        """The caller is told the id, once, on answers of the application and of the gateway."""
        self.start()
        fields = self.answered(self.ask(), [("x-request-id", "of the application")])
        self.assertEqual(fields["x-request-id"], "id-1")
        self.assertEqual(self.head(self.ask(b"/health"))["x-request-id"], "id-1")
        refused = self.ask(fields=b"Expect: 100-continue\r\n", target=b"/x")
        self.assertEqual(refused.status, 0)
        self.start(show_request_id="off")
        self.assertNotIn("x-request-id", self.answered(self.ask()))

    def test_proxiesAreMany(self) -> None:
        """A trusted proxy is known as one."""
        self.start(**PROXY)
        self.assertTrue(self.admission.is_proxy(CALLER))
        self.assertFalse(self.admission.is_proxy("192.0.2.1"))
        self.start()
        self.assertFalse(self.admission.is_proxy(CALLER))


class ListTests(AdmissionCase):
    """Who may call."""

    def test_deny(self) -> None:
        """Who is denied gets 403 at every path but the gateway's own, and the application nothing."""
        self.start(deny=("198.51.100.0/24",))
        caller = self.ask()
        self.assertEqual((caller.status, self.problem(caller)["source"]), (403, "gateway"))
        self.assertEqual(self.ask(b"/health").status, 200)
        self.assertEqual(self.link.requests, [])
        self.assertEqual(self.lab.records[0].status, 403)
        self.assertEqual(self.admission.refused["denied"], 1)

    def test_behindProxy(self) -> None:
        """The caller counts, not the proxy."""
        self.start(deny=("192.0.2.0/24",), **PROXY)
        self.assertEqual(self.ask(fields=b"X-Forwarded-For: 192.0.2.1\r\n").status, 403)
        self.assertEqual(self.ask(fields=b"X-Forwarded-For: 192.0.2.1, 203.0.113.1\r\n").status, 0)

    def test_route(self) -> None:
        """A route has lists of its own, which hold as well."""
        self.start({"/admin": RouteSettings(allow=("10.0.0.0/8",)), "/open": RouteSettings()})
        self.assertEqual(self.ask(b"/admin/x").status, 403)
        self.assertEqual(self.ask(b"/open").status, 0)
        self.assertEqual(self.ask(b"/administrator").status, 0)

    def test_spelling(self) -> None:
        """No spelling gets around them."""
        self.start({"/admin": RouteSettings(deny=("0.0.0.0/0",))})
        for target in (
            b"/%61dmin",
            b"//admin",
            b"/x/../admin",
            b"/x/..%2fadmin",
            b"/./admin",
            b"/admin%2fx",
            b"/admin;x",
        ):
            self.assertIn(self.ask(target).status, (400, 403), target)
        self.assertEqual(self.link.requests, [])


class RateTests(AdmissionCase):
    """How often."""

    def test_limit(self) -> None:
        """Over the rate there is 429 with all that a client needs to come back in time."""
        self.start(rate_limit=Rate(2, 60))
        self.assertEqual(self.answered(self.ask())["ratelimit"], '"caller";r=1;t=30')
        self.assertEqual(self.answered(self.ask())["ratelimit"], '"caller";r=0;t=60')
        caller = self.ask()
        fields = self.head(caller)
        self.assertEqual((caller.status, self.problem(caller)["source"]), (429, "gateway"))
        self.assertEqual(fields["retry-after"], "30")
        self.assertEqual(fields["ratelimit"], '"caller";r=0;t=30')
        self.assertEqual(fields["ratelimit-policy"], '"caller";q=2;w=60')
        self.assertEqual((len(self.link.requests), self.admission.refused["limited"]), (2, 1))
        self.lab.advance(31)
        self.assertEqual(self.ask().status, 0)

    def test_byCaller(self) -> None:
        """Each caller has its own; a /64 of IPv6 is one."""
        self.start(rate_limit=Rate(1, 60), **PROXY)
        rows = [(b"192.0.2.1", 0), (b"192.0.2.1", 429), (b"192.0.2.2", 0), (b"2001:db8::1", 0), (b"2001:db8::2", 429),
                (b"2001:db8:0:1::1", 0), (b"::ffff:192.0.2.2", 429)]  # fmt: skip
        for address, status in rows:
            self.assertEqual(self.ask(fields=b"X-Forwarded-For: " + address + b"\r\n").status, status, address)

    def test_unknownPaths(self) -> None:
        """Who looks for paths that are not there is counted as well."""
        self.start(rate_limit=Rate(1, 60))
        self.link.abort(Exception("gone"))  # type: ignore[arg-type]
        self.ask(b"/nothing")
        self.assertEqual(self.ask(b"/nothing").status, 429)
        self.assertEqual(self.ask(b"/health").status, 200)

    def test_route(self) -> None:
        """A route counts by caller and in all, and a refusal names the rule."""
        limited = RouteSettings(rate_limit=Rate(2, 10), total_rate_limit=Rate(3, 60))
        self.start({"/a": limited}, rate_limit=Rate(100, 60), **PROXY)
        one, two = b"X-Forwarded-For: 192.0.2.1\r\n", b"X-Forwarded-For: 192.0.2.2\r\n"
        self.ask(b"/a", one)
        self.ask(b"/a", one)
        caller = self.ask(b"/a", one)
        self.assertEqual((caller.status, self.head(caller)["ratelimit"]), (429, '"route-caller";r=0;t=5'))
        self.assertEqual(self.ask(b"/a", two).status, 0)
        caller = self.ask(b"/a", two)
        self.assertEqual((caller.status, self.head(caller)["ratelimit"]), (429, '"route";r=0;t=20'))
        policy = '"caller";q=100;w=60, "route-caller";q=2;w=10, "route";q=3;w=60'
        self.assertEqual(self.head(caller)["ratelimit-policy"], policy)
        self.assertEqual(self.ask(b"/b", one).status, 0)


class RoomTests(AdmissionCase):
    """How many at once, and how much."""

    def test_concurrency(self) -> None:
        """Over the number there is 503; each way out gives the place back."""
        self.start({"/a": RouteSettings(concurrency=2)})
        first, second = self.ask(b"/a"), self.ask(b"/a")
        third = self.ask(b"/a")
        self.assertEqual((third.status, self.head(third)["retry-after"]), (503, "1"))
        self.assertEqual(self.ask(b"/b").status, 0)
        self.lab.answer(self.link, which=1)
        self.assertEqual(second.status, 200)
        assert first.protocol is not None
        first.protocol.connectionLost()
        self.lab.settle()
        fourth, fifth = self.ask(b"/a"), self.ask(b"/a")
        self.assertEqual((fourth.status, fifth.status, self.ask(b"/a").status), (0, 0, 503))
        self.link.abort(Exception("gone"))  # type: ignore[arg-type]
        self.lab.settle()
        self.assertEqual((fourth.status, fifth.status), (502, 502))
        self.link = self.lab.connect()
        self.assertEqual(self.ask(b"/a").status, 0)
        self.lab.answer(self.link)
        at_rest(self.assertEqual, self.lab)

    def test_refusedTakesNoPlace(self) -> None:
        """What goes nowhere holds no place."""
        self.start({"/a": RouteSettings(concurrency=1)})
        self.link.abort(Exception("gone"))  # type: ignore[arg-type]
        self.lab.receivers.forget_empty(1e9)
        for _ in range(3):
            self.assertEqual(self.ask(b"/a").status, 404)

    def test_body(self) -> None:
        """A body over the cap of its route is refused: at once if its length is told, else when it is too long."""
        self.start({"/a": RouteSettings(body_limit=10), "/big": RouteSettings(body_limit=100)}, body_limit=50)
        for target, most in ((b"/a", 10), (b"/big", 100), (b"/", 50)):
            told = b"Content-Length: %d\r\n"
            self.assertEqual(self.ask(target, told % most, b"POST", b"x" * most).status, 0)
            refused = self.ask(target, told % (most + 1), b"POST")
            self.assertEqual(refused.status, 413, target)
            coded = b"Transfer-Encoding: chunked\r\n"
            fits = self.ask(target, coded, b"POST", b"%x\r\n%b\r\n0\r\n\r\n" % (most, b"x" * most))
            self.assertEqual(fits.status, 0)
            caller = self.ask(target, coded, b"POST", b"%x\r\n%b\r\n" % (most, b"x" * most))
            self.assertEqual(caller.status, 0)
            caller.send(b"1\r\nx\r\n")
            self.assertEqual((caller.status, self.problem(caller)["source"]), (413, "gateway"))
        self.assertTrue(all(len(self.link.bodies(request.stream)) <= 100 for request in self.link.requests))

    def test_bodyOfTheUsualCap(self) -> None:
        """Without routes the cap is kept where bodies are read, and no permit is needed."""
        self.start(body_limit=50)
        self.assertEqual(self.ask(b"/", b"Content-Length: 51\r\n", b"POST").status, 413)


class FieldTests(AdmissionCase):
    """Response fields."""

    def test_fields(self) -> None:
        """They are set, added and removed, on problems too."""
        route = RouteSettings(
            set_headers=(("X-Frame-Options", "DENY"), ("Strict-Transport-Security", "max-age=9")),
            add_headers=(("Link", "mine"),),
            remove_headers=("Server",),
        )
        self.start({"/": route}, **PROXY)
        mine = [("x-frame-options", "ALLOW"), ("LINK", "yours"), ("server", "app"), ("x-other", "1")]
        fields = self.answered(self.ask(), mine)
        self.assertEqual((fields["x-frame-options"], fields["link"], fields["x-other"]), ("DENY", "yours | mine", "1"))
        self.assertNotIn("server", fields)
        self.assertNotIn("strict-transport-security", fields)
        fields = self.answered(self.ask(fields=b"X-Forwarded-Proto: https\r\n"))
        self.assertEqual(fields["strict-transport-security"], "max-age=9")
        caller = self.ask()
        self.link.abort(Exception("gone"))  # type: ignore[arg-type]
        self.lab.settle()
        self.assertEqual((caller.status, self.head(caller)["x-frame-options"]), (502, "DENY"))

    def test_preflight(self) -> None:
        """The gateway answers a browser's question itself; no receiver is needed, no rate is charged."""
        cors = CorsSettings(origins=("https://app.example",), methods=("PUT",))
        self.start({"/a": RouteSettings(cors=cors, rate_limit=Rate(1, 60))})
        question = b"Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n"
        for _ in range(3):
            caller = self.ask(b"/a", question, b"OPTIONS")
            fields = self.head(caller)
            self.assertEqual((caller.status, fields["access-control-allow-origin"]), (204, "https://app.example"))
            self.assertEqual(fields["access-control-allow-methods"], "PUT")
        self.assertEqual(self.link.requests, [])
        self.assertEqual([record.status for record in self.lab.records], [204] * 3)
        self.assertEqual(self.ask(b"/a", b"", b"OPTIONS").status, 0)
        self.assertEqual(self.ask(b"/b", question, b"OPTIONS").status, 0)
        self.assertEqual(len(self.link.requests), 2)

    def test_cors(self) -> None:
        """Answers carry the permission once, problems too, so that a page can read them."""
        cors = CorsSettings(origins=("https://app.example",))
        self.start({"/": RouteSettings(cors=cors, rate_limit=Rate(2, 60))})
        page = b"Origin: https://app.example\r\n"
        fields = self.answered(self.ask(fields=page), [("access-control-allow-origin", "*"), ("vary", "Accept")])
        self.assertEqual(
            (fields["access-control-allow-origin"], fields["vary"]), ("https://app.example", "Accept | Origin")
        )
        fields = self.answered(self.ask(fields=b"Origin: https://evil.example\r\n"))
        self.assertNotIn("access-control-allow-origin", fields)
        caller = self.ask(fields=page)
        self.assertEqual(
            (caller.status, self.head(caller)["access-control-allow-origin"]), (429, "https://app.example")
        )


class PlaceTests(AdmissionCase):
    """What depends on the place."""

    def test_strippedPrefix(self) -> None:
        """The application gets the rest, byte for byte, and the prefix in a field that no caller can set."""
        self.start({"/shop": RouteSettings(strip_prefix=True), "/shop/raw": RouteSettings()})
        rows = {
            b"/shop": "/",
            b"/shop/a%2Fb?c": "/a%2Fb?c",
            b"/shop?x": "/?x",
            b"/shop/raw/a": "/shop/raw/a",
            b"/": "/",
        }
        for target, expected in rows.items():
            self.ask(target, b"X-Forwarded-Prefix: /evil\r\n")
            head = self.link.requests[-1].head
            prefixes = [value for name, value in head.headers if name.lower() == "x-forwarded-prefix"]
            stripped = target.startswith(b"/shop") and not target.startswith(b"/shop/raw")
            self.assertEqual((head.target, prefixes), (expected, ["/shop"] if stripped else []))

    def test_loggedWhole(self) -> None:
        """The log has what the caller asked for."""
        self.start({"/shop": RouteSettings(strip_prefix=True)})
        self.answered(self.ask(b"/shop/a"))
        self.assertEqual(self.lab.records[0].target, "/shop/a")

    def test_hosts(self) -> None:
        """Options of a host hold there alone."""
        own = RouteSettings(deny=("0.0.0.0/0",))
        self.start({"gate.example/": own, "*.gate.example/a": RouteSettings(strip_prefix=True)})
        self.assertEqual(self.ask().status, 403)
        for host, expected in ((b"x.gate.example", "/b"), (b"other.example", "/a/b")):
            self.lab.caller().send(b"GET /a/b HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertEqual(self.link.requests[-1].head.target, expected)

    def test_registered(self) -> None:
        """Options of the registry hold as soon as it has them, and no longer than that."""
        self.start()
        self.assertEqual(self.ask().status, 0)
        row = RouteRow(parse_place("/"), "receiver", RouteSettings(deny=("0.0.0.0/0",)))
        self.admission.adopt(Book(Snapshot((1,), [], [row], [])))
        self.assertEqual(self.ask().status, 403)
        self.admission.adopt(NOTHING)
        self.assertEqual(self.ask().status, 0)


class WebSocketTests(AdmissionCase):
    """The same rules hold for WebSockets."""

    FIELDS = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"

    def open(self) -> Caller:
        """Ask for one, and let the application accept it if it hears of it."""
        caller = self.ask(fields=self.FIELDS % b64encode(bytes(16)))
        if self.link.requests:
            self.link.requests.pop().stream.send_accept(ResponseHead(101, [("server", "app")]))
            self.lab.settle()
        return caller

    def test_rules(self) -> None:
        """An open one takes the place of a request, and its head is amended as any other."""
        self.start({"/": RouteSettings(concurrency=1, set_headers=(("Server", "gate"),))})
        self.link.abort(ANPError("the first one knows none"))
        self.link = self.lab.connect(features=["websocket"])
        caller = self.open()
        head = self.head(caller)
        self.assertEqual((caller.status, head["server"], head["x-request-id"]), (101, "gate", "id-1"))
        self.assertEqual(self.open().status, 503)
        assert caller.transport.protocol is not None
        caller.transport.protocol.connectionLost()
        self.lab.settle()
        self.assertEqual(self.open().status, 101)
