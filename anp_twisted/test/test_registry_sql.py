"""Rules of L{anp_twisted.registry.sql}, on SQLite."""

from __future__ import annotations

import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.bearer import digest_of
from anp_twisted.errors import RegistryConflict, RegistryError
from anp_twisted.places import parse_place
from anp_twisted.registry.book import Book
from anp_twisted.registry.rows import TokenRow
from anp_twisted.registry.source import parse_url
from anp_twisted.registry.sql import Store


class StoreTestCase(SynchronousTestCase):
    """Has a database in a file."""

    def setUp(self) -> None:
        """Make it, at a time that can be moved."""
        self.now = 1000
        self.path = self.mktemp()
        self.store = self.open()

    def open(self) -> Store:
        """Open it once more."""
        store = Store(parse_url(f"sqlite:///{os.path.abspath(self.path)}"), {}, now=lambda: self.now)
        self.addCleanup(store.close)
        return store

    def token(self, name: str, secret: str, number: str = "", expires: float = float("inf")) -> TokenRow:
        """A token."""
        return TokenRow(number or f"id-{secret}", name, digest_of(secret), self.now, expires)

    def holders(self) -> dict[str, float]:
        """Until when each of some secrets is good, of those that are."""
        book = Book(self.store.read())
        found = {secret: book.holder(secret, self.now) for secret in ("one", "two", "three")}
        return {secret: identity.expires for secret, identity in found.items() if identity is not None}

    def owners(self) -> dict[str, str]:
        """Whose each place is."""
        return {str(row.place): row.owner for row in self.store.read().routes}


class TokenTests(StoreTestCase):
    """Tokens are added, rotated and revoked."""

    def test_add(self) -> None:
        """The first token comes with its places; only its digest is kept."""
        self.store.add_token(self.token("ann", "one"), [parse_place("/a"), parse_place("h/")])
        self.assertEqual((self.holders(), self.owners()), ({"one": float("inf")}, {"/a": "ann", "h/": "ann"}))
        with open(self.path, "rb") as file:
            self.assertNotIn(b"one", file.read().replace(b"id-one", b""))

    def test_refused(self) -> None:
        """No second first token, no token without a place, no place of another: and then nothing has changed."""
        self.store.add_token(self.token("ann", "one"), [parse_place("/a")])
        before = self.store.read()
        for row, places in (
            (self.token("ann", "two"), ["/b"]),
            (self.token("bob", "two"), []),
            (self.token("bob", "two"), ["/b", "/a"]),
            (self.token("bob", "one", "other"), ["/b"]),
        ):
            with self.assertRaises(RegistryConflict):
                self.store.add_token(row, [parse_place(place) for place in places])
        self.assertEqual(self.store.read(), before)

    def test_rotate(self) -> None:
        """Two are live for a while, never three; without overlap one."""
        self.store.add_token(self.token("ann", "one"), [parse_place("/a")])
        self.store.rotate_token(self.token("ann", "two"), 60)
        self.assertEqual(self.holders(), {"one": 1060, "two": float("inf")})
        self.store.rotate_token(self.token("ann", "three"), 60)
        self.assertEqual(self.holders(), {"two": 1060, "three": float("inf")})
        self.now += 60
        self.assertEqual(self.holders(), {"three": float("inf")})
        self.store.rotate_token(self.token("ann", "one", "again"), 0)
        self.assertEqual(self.holders(), {"one": float("inf")})

    def test_rotateEnds(self) -> None:
        """A rotation lets no token live longer than it would have, and needs one to begin with."""
        self.assertRaises(RegistryConflict, self.store.rotate_token, self.token("ann", "one"), 60)
        self.store.add_token(self.token("ann", "one", expires=1030), [parse_place("/a")])
        self.store.rotate_token(self.token("ann", "two"), 60)
        self.assertEqual(self.holders(), {"one": 1030, "two": float("inf")})
        self.now = 1030
        self.assertEqual([row.id for row in self.store.list_tokens()], ["id-two"])

    def test_ended(self) -> None:
        """A token that has ended is none: there may be a first one again."""
        self.store.add_token(self.token("ann", "one", expires=1001), [parse_place("/a")])
        self.now = 1001
        self.assertRaises(RegistryConflict, self.store.rotate_token, self.token("ann", "two"), 60)
        self.store.add_token(self.token("ann", "two"))
        self.assertEqual(self.holders(), {"two": float("inf")})

    def test_revoke(self) -> None:
        """By name all of them, by id one; the places stay."""
        self.store.add_token(self.token("ann", "one"), [parse_place("/a")])
        self.store.rotate_token(self.token("ann", "two"), 60)
        self.assertEqual((self.store.revoke("id-one"), list(self.holders())), (1, ["two"]))
        self.store.rotate_token(self.token("ann", "three"), 60)
        self.assertEqual((self.store.revoke("ann"), self.holders(), self.store.revoke("ann")), (2, {}, 0))
        self.assertEqual(self.owners(), {"/a": "ann"})


class RouteTests(StoreTestCase):
    """Places are given and taken."""

    def test_put(self) -> None:
        """Nobody takes over a place; its owner may change its options, and say nothing of them."""
        place = parse_place("/a")
        self.store.put_route(place, "ann", '{"concurrency":1}')
        for owner in ("bob", "Ann", "did:wba:x"):
            self.assertRaises(RegistryConflict, self.store.put_route, place, owner)
        self.store.put_route(place, "ann")
        self.assertEqual([text for _, text in self.store.list_routes()], ['{"concurrency":1}'])
        self.store.put_route(place, "ann", "")
        (row,) = self.store.read().routes
        self.assertEqual((row.owner, row.options), ("ann", None))

    def test_case(self) -> None:
        """C{/a} and C{/A} are two places; C{H} and C{h} are one host."""
        for text, owner in (("/a", "ann"), ("/A", "bob"), ("h/a", "eve")):
            self.store.put_route(parse_place(text), owner)
        self.assertRaises(RegistryConflict, self.store.put_route, parse_place("H/a"), "bob")
        self.assertEqual(self.owners(), {"/a": "ann", "/A": "bob", "h/a": "eve"})

    def test_drop(self) -> None:
        """What was taken away may be given to another."""
        self.store.put_route(parse_place("/a"), "ann")
        self.assertEqual([self.store.drop_route(parse_place("/a")) for _ in range(2)], [True, False])
        self.store.put_route(parse_place("/a"), "bob")
        self.assertEqual(self.owners(), {"/a": "bob"})

    def test_unreadable(self) -> None:
        """A row that another program wrote wrongly is left out and told; the others hold."""
        self.store.put_route(parse_place("/a"), "ann")
        self.store.put_route(parse_place("/b"), "bob", "{}")
        with sqlite3.connect(self.path) as raw:
            raw.execute("UPDATE anp_routes SET options = '{\"x\": 1}' WHERE path = '/b'")
            raw.execute("INSERT INTO anp_routes VALUES ('d', 'eve', '', '/a/../b', '', 0, 0)")
        snapshot = self.store.read()
        self.assertEqual([str(row.place) for row in snapshot.routes], ["/a"])
        self.assertEqual(len(snapshot.left_out), 2)
        self.assertIn("'/b' of 'bob'", snapshot.left_out[0])


class LegacyTests(StoreTestCase):
    """The table of existing deployments beside ours."""

    def test_read(self) -> None:
        """Its rows are routes; ours go before; what changes in it changes the version."""
        with sqlite3.connect(self.path) as raw:
            raw.execute("CREATE TABLE did_proxy_path (id INTEGER PRIMARY KEY, did TEXT, proxy_path TEXT,"
                        " created_at TIMESTAMP, updated_at TIMESTAMP)")  # fmt: skip
            raw.execute(
                "INSERT INTO did_proxy_path (did, proxy_path) VALUES ('did:wba:a', '/a/ad.json'), ('did:wba:b', '/b')"
            )
        self.store.put_route(parse_place("/b"), "ann")
        self.assertEqual(self.owners(), {"/a": "did:wba:a", "/b": "ann"})
        version = self.store.version()
        self.assertEqual(self.store.version(), version)
        with sqlite3.connect(self.path) as raw:
            raw.execute("INSERT INTO did_proxy_path (did, proxy_path) VALUES ('did:wba:c', '/c')")
        self.assertNotEqual(self.store.version(), version)
        version = self.store.version()
        with sqlite3.connect(self.path) as raw:
            raw.execute(
                "UPDATE did_proxy_path SET proxy_path = '/d', updated_at = '2030-01-01 00:00:00.000' WHERE id = 3"
            )
        self.assertNotEqual(self.store.version(), version)
        self.assertEqual(self.owners()["/d"], "did:wba:c")

    def test_token(self) -> None:
        """A place there is a place: its owner may get a token without another."""
        with sqlite3.connect(self.path) as raw:
            raw.execute("CREATE TABLE did_proxy_path (id INTEGER PRIMARY KEY, did TEXT, proxy_path TEXT,"
                        " created_at TIMESTAMP, updated_at TIMESTAMP)")  # fmt: skip
            raw.execute("INSERT INTO did_proxy_path (did, proxy_path) VALUES ('ann', '/a')")
        self.store.add_token(self.token("ann", "one"))
        self.assertEqual(list(self.holders()), ["one"])
        self.assertRaises(RegistryConflict, self.store.add_token, self.token("bob", "two"))


class DatabaseTests(StoreTestCase):
    """The file, the versions, what goes wrong."""

    def test_private(self) -> None:
        """The file is its owner's alone."""
        self.store.version()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_atOnce(self) -> None:
        """Several that find no tables at the same moment make them once, and all go on."""
        for _ in range(5):
            self.path = self.mktemp()
            stores = [self.open() for _ in range(4)]
            barrier = Barrier(len(stores))

            def ask(store: Store, barrier: Barrier = barrier) -> tuple[int, ...]:
                barrier.wait(20)
                return store.version()

            with ThreadPoolExecutor(len(stores)) as pool:
                self.assertEqual(set(pool.map(ask, stores)), {(1,)})

    def test_versions(self) -> None:
        """Each change has a number of its own, whoever makes it; reading has none."""
        other = self.open()
        seen = [self.store.version()]
        self.store.read()
        self.assertEqual(other.version(), seen[0])
        for change in (
            lambda: other.put_route(parse_place("/a"), "ann"),
            lambda: self.store.add_token(self.token("ann", "one")),
            lambda: other.revoke("ann"),
            lambda: self.store.drop_route(parse_place("/a")),
        ):
            change()
            self.assertNotIn(self.store.version(), seen)
            seen.append(self.store.version())
        self.assertEqual(self.store.read().version, seen[-1])

    def test_unusable(self) -> None:
        """What goes wrong is one error, which names the database without its password."""
        store = Store(parse_url("sqlite:////no/such/folder/file"), {})
        self.assertRaises(RegistryError, store.read)
        self.assertEqual(Store(parse_url("mysql://u:hunter2@h/d"), {}).name, "mysql+pymysql://u:***@h/d")
        with open(self.path, "w") as file:
            file.write("this is no database" * 100)
        error = self.assertRaises(RegistryError, self.store.read)
        self.assertIn("DatabaseError", str(error))
