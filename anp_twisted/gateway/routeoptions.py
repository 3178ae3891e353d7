"""
What the operator set for requests below a prefix, ready for use.

Options belong to paths, not to receivers: they hold before one is connected, and
the longest prefix of whole segments counts, alone. A target that leads to
different options by different readings is refused, so that no limit can be
passed by spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from anp_twisted.config.identity import read_did_rule
from anp_twisted.config.routes import RouteSettings
from anp_twisted.gateway.cors import Cors
from anp_twisted.headers import Header
from anp_twisted.networks import Networks
from anp_twisted.places import Place, Places, parse_place
from anp_twisted.ratelimit import Buckets, Rule
from anp_twisted.rates import Rate
from anp_twisted.registry.rows import RouteRow

CORS_FIELDS: Final = frozenset(
    b"access-control-allow-" + name for name in (b"origin", b"credentials", b"methods", b"headers")
) | {b"access-control-expose-headers", b"access-control-max-age"}
"""What an application may not say where the gateway does."""

_HSTS: Final = b"strict-transport-security"


def buckets_of(rate: Rate | None, most: int) -> Buckets | None:
    """Make the buckets of a rate, if there is one."""
    return None if rate is None else Buckets(rate, most)


def policies(rules: Iterable[tuple[str, Buckets | None]]) -> bytes:
    """The value of C{RateLimit-Policy} (draft-ietf-httpapi-ratelimit-headers-11)."""
    members = [
        f'"{name}";q={buckets.rate.quota};w={buckets.rate.window}' for name, buckets in rules if buckets is not None
    ]
    return ", ".join(members).encode("ascii")


class AccessList:
    """Who may call: nobody who is denied, and if any are allowed, nobody else."""

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._allow = Networks(allow)
        self._deny = Networks(deny)
        self._closed = bool(self._allow)

    def __bool__(self) -> bool:
        return self._closed or bool(self._deny)

    def admits(self, address: str) -> bool:
        """
        @param address: canonical; nothing for a caller on a UNIX socket.
        """
        return address not in self._deny and (not self._closed or address in self._allow)


class RouteOptions:
    """
    The options of one prefix.

    @ivar access: who may call.
    @ivar by_caller: one bucket for each caller.
    @ivar by_all: one bucket for all of them.
    @ivar proves: whether callers have to prove a DID.
    @ivar callers: which of those that do may call; nobody named is all of them.
    @ivar concurrency: how many requests may run at once; 0 is no limit.
    @ivar running: how many do.
    @ivar body: the cap of a request body, if it is not the usual one.
    @ivar cors: the rules for pages of other origins, if the gateway sees to them.
    @ivar dropped: lower-case names of response fields that are not passed on.
    @ivar stripped: the prefix that applications do not see.
    """

    __slots__ = ("_added", "_added_over_tls", "access", "body", "by_all", "by_caller", "callers", "concurrency",
                 "cors", "dropped", "proves", "running", "stripped")  # fmt: skip

    def __init__(self, settings: RouteSettings, most_buckets: int, key: bytes = b"") -> None:
        """
        @param key: of the prefix.
        """
        self.stripped = key if settings.strip_prefix else b""
        self.access = AccessList(settings.allow, settings.deny)
        self.by_caller = buckets_of(settings.rate_limit, most_buckets)
        self.by_all = buckets_of(settings.total_rate_limit, 1)
        self.proves = settings.auth == "did"
        self.callers = tuple(map(read_did_rule, settings.allow_did))
        self.concurrency = settings.concurrency or 0
        self.running = 0
        self.body = settings.body_limit
        self.cors = None if settings.cors is None else Cors(settings.cors)
        added = [*settings.set_headers, *settings.add_headers]
        self._added_over_tls: list[Header] = [(name.encode("ascii"), value.encode("ascii")) for name, value in added]
        # RFC 6797, 7.2: not over plain HTTP.
        self._added = [field for field in self._added_over_tls if field[0].lower() != _HSTS]
        replaced = {name.lower().encode("ascii") for name, _ in settings.set_headers}
        removed = {name.lower().encode("ascii") for name in settings.remove_headers}
        self.dropped = frozenset(replaced | removed) | (CORS_FIELDS if self.cors is not None else frozenset())

    def added(self, scheme: bytes) -> list[Header]:
        """The response fields that are put in, for what the caller spoke."""
        return self._added_over_tls if scheme == b"https" else self._added

    def rules(self, owner: str) -> list[Rule]:
        """The buckets that count for a request of that owner."""
        rules = []
        if self.by_caller is not None:
            rules.append(Rule("route-caller", self.by_caller, owner))
        if self.by_all is not None:
            rules.append(Rule("route", self.by_all, ""))
        return rules

    def named(self) -> list[tuple[str, Buckets | None]]:
        """The same by name, whoever asks."""
        return [("route-caller", self.by_caller), ("route", self.by_all)]


class OptionsTable(Places[RouteOptions]):
    """The options by place."""

    def __init__(self, settings: Iterable[tuple[str, RouteSettings]], most_buckets: int) -> None:
        """
        @param settings: pairs of a place, as L{parse_place} reads it, and its options.
        @param most_buckets: how many buckets one rule keeps.
        """
        super().__init__()
        self._most_buckets = most_buckets
        self._fixed: set[Place] = set()
        self._registered: dict[Place, tuple[RouteSettings, RouteOptions]] = {}
        for text, one in settings:
            place = parse_place(text)
            self._fixed.add(place)
            self.put(place, RouteOptions(one, most_buckets, place.key))

    def adopt(self, rows: Iterable[RouteRow]) -> None:
        """
        Go over to the options that the registry has now.

        The operator's own settings hold in their places, whatever it says. Options
        that are as before keep what they have counted.

        @param rows: those that have options.
        """
        before, self._registered = self._registered, {}
        for row in rows:
            if row.options is None or row.place in self._fixed:
                continue
            known = before.pop(row.place, None)
            if known is None or known[0] != row.options:
                known = row.options, RouteOptions(row.options, self._most_buckets, row.place.key)
                self.put(row.place, known[1])
            self._registered[row.place] = known
        for place in before:
            self.drop(place)
