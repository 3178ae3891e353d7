"""Rules of L{anp_twisted.gateway.routeoptions}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.routes import CorsSettings, RouteSettings
from anp_twisted.gateway.routeoptions import CORS_FIELDS, AccessList, OptionsTable, RouteOptions, buckets_of, policies
from anp_twisted.paths import AmbiguousTarget
from anp_twisted.places import parse_place
from anp_twisted.rates import Rate
from anp_twisted.registry.rows import RouteRow


def table(*prefixes: str) -> OptionsTable:
    """Options that tell themselves apart by their concurrency."""
    return OptionsTable([(prefix, RouteSettings(concurrency=len(prefix))) for prefix in prefixes], 10)


def options(**settings: Any) -> RouteOptions:
    """The options of a route."""
    return RouteOptions(RouteSettings(**settings), 10)


class TableTests(SynchronousTestCase):
    """Which options hold."""

    def found(self, one: OptionsTable, target: bytes) -> int:
        """The length of the prefix, 0 for none."""
        match = one.match_wide(b"gate.example", target)
        return 0 if match is None else match.concurrency

    def test_longest(self) -> None:
        """The longest prefix of whole segments, and only that."""
        one = table("/", "/a", "/a/b/c", "/.well-known")
        rows = {b"/": 1, b"/x": 1, b"/a": 2, b"/a/": 2, b"/a?b": 2, b"/ab": 1, b"/a/b": 2, b"/a/b/c": 6, b"/a/b/c/d": 6,
                b"/.well-known/x": 12, b"*": 1}  # fmt: skip
        self.assertEqual({target: self.found(one, target) for target in rows}, rows)

    def test_none(self) -> None:
        """Without a prefix that fits nothing holds."""
        self.assertEqual(self.found(table("/a"), b"/b"), 0)
        self.assertEqual(self.found(table(), b"/b"), 0)
        self.assertFalse(table())

    def test_spelling(self) -> None:
        """No other spelling gets around the options of a path."""
        one = table("/a", "/admin")
        for target in (b"/%61dmin/x", b"/a/../admin", b"//admin", b"/a/..%2Fadmin", b"/\\admin", b"/x/%2e%2e/admin"):
            self.assertRaises(AmbiguousTarget, one.match_wide, b"gate.example", target)
        self.assertEqual(self.found(one, b"/admin/a%2Fb"), 6)


class PlaceTests(SynchronousTestCase):
    """Options by host, and those of the registry."""

    def found(self, one: OptionsTable, host: bytes, target: bytes) -> int:
        """The concurrency of the options that hold, 0 for none."""
        match = one.match_wide(host, target)
        return 0 if match is None else match.concurrency

    def row(self, place: str, **settings: Any) -> RouteRow:
        """A row of the registry."""
        return RouteRow(parse_place(place), "bob", RouteSettings(**settings))

    def test_hosts(self) -> None:
        """Those of the host count, and where it has none for a path, those of any host."""
        one = table("/", "/a", "b.example/abc")
        rows = {
            (b"b.example", b"/abc"): 13,
            (b"b.example", b"/a"): 2,
            (b"b.example", b"/x"): 1,
            (b"c.example", b"/abc"): 1,
        }
        self.assertEqual({row: self.found(one, *row) for row in rows}, rows)

    def test_registered(self) -> None:
        """Options of the registry hold as long as it has them, and never in a place of the operator's."""
        one = table("/a")
        one.adopt([self.row("/a", concurrency=50), self.row("/b", concurrency=51), self.row("/c")])
        self.assertEqual([self.found(one, b"x", path) for path in (b"/a", b"/b", b"/c")], [2, 51, 0])
        one.adopt([])
        self.assertEqual([self.found(one, b"x", path) for path in (b"/a", b"/b")], [2, 0])

    def test_counting(self) -> None:
        """What did not change goes on to count; what did begins anew."""
        one = table()
        one.adopt([self.row("/a", concurrency=1), self.row("/b", concurrency=1)])
        before = {path: one.match_wide(b"x", path) for path in (b"/a", b"/b")}
        one.adopt([self.row("/a", concurrency=1), self.row("/b", concurrency=2)])
        self.assertIs(one.match_wide(b"x", b"/a"), before[b"/a"])
        self.assertIsNot(one.match_wide(b"x", b"/b"), before[b"/b"])


class AccessTests(SynchronousTestCase):
    """Lists of networks."""

    def test_rows(self) -> None:
        """Who is denied stays out; with an allow list, everybody else too."""
        inside, outside, unix = "10.1.2.3", "192.0.2.1", ""
        rows = [
            ([], [], {inside: True, outside: True, unix: True}),
            (["10.0.0.0/8"], [], {inside: True, outside: False, unix: False}),
            ([], ["10.0.0.0/8"], {inside: False, outside: True, unix: True}),
            (["10.0.0.0/8"], ["10.1.0.0/16"], {inside: False, "10.2.0.1": True, outside: False}),
        ]
        for allow, deny, expected in rows:
            access = AccessList(allow, deny)
            self.assertEqual({address: access.admits(address) for address in expected}, expected, (allow, deny))
            self.assertEqual(bool(access), bool(allow or deny))


class FieldTests(SynchronousTestCase):
    """Response fields."""

    def test_setAddRemove(self) -> None:
        """What is set replaces, what is added does not, what is removed goes."""
        route = options(
            set_headers=(("X-Frame-Options", "DENY"),), add_headers=(("Link", "a"),), remove_headers=("Server",)
        )
        self.assertEqual(route.dropped, {b"x-frame-options", b"server"})
        self.assertEqual(route.added(b"http"), [(b"X-Frame-Options", b"DENY"), (b"Link", b"a")])

    def test_hsts(self) -> None:
        """Strict-Transport-Security goes over TLS only."""
        route = options(set_headers=(("Strict-Transport-Security", "max-age=1"), ("X-A", "b")))
        self.assertEqual(route.added(b"http"), [(b"X-A", b"b")])
        self.assertEqual(route.added(b"https"), [(b"Strict-Transport-Security", b"max-age=1"), (b"X-A", b"b")])

    def test_cors(self) -> None:
        """With CORS at the gateway the application's word on it is dropped."""
        self.assertLessEqual(CORS_FIELDS, options(cors=CorsSettings(origins=("*",))).dropped)
        self.assertEqual(options().dropped, frozenset())


class RuleTests(SynchronousTestCase):
    """Rates."""

    def test_rules(self) -> None:
        """One bucket for each caller, one for all."""
        route = options(rate_limit=Rate(5, 1), total_rate_limit=Rate(9, 60))
        self.assertEqual([(rule.name, rule.owner) for rule in route.rules("a")], [("route-caller", "a"), ("route", "")])
        self.assertEqual(policies(route.named()), b'"route-caller";q=5;w=1, "route";q=9;w=60')
        self.assertEqual(options().rules("a"), [])

    def test_none(self) -> None:
        """Without a rate there are no buckets."""
        self.assertIsNone(buckets_of(None, 10))
        self.assertEqual(policies([("caller", None)]), b"")
