"""Rules of L{anp_twisted.registry.book}."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import RECEIVER, Identity, Kind
from anp_twisted.config.routes import RouteSettings
from anp_twisted.places import parse_place
from anp_twisted.registry.book import NOTHING, Book, PlaceRefused
from anp_twisted.registry.rows import RouteRow, Snapshot
from anp_twisted.test.registrylab import book, holder


class TokenTests(SynchronousTestCase):
    """Whose token that is."""

    def test_holder(self) -> None:
        """The exact token alone, until it ends."""
        one = book(tokens={"secret": ("ann", 10.0), "other": "bob"})
        found = one.holder("secret", 9.0)
        self.assertEqual(found, holder("ann"))
        assert found is not None
        self.assertEqual((found.credential, found.expires), ("t0", 10.0))
        for token, now in (("secret", 10.0), ("", 0.0), ("secre", 0.0), ("secret ", 0.0), ("\udce9", 0.0)):
            self.assertIsNone(one.holder(token, now), token)
        self.assertEqual((one.tokens, NOTHING.tokens, NOTHING.holder("", 0.0)), (2, 0, None))

    def test_holds(self) -> None:
        """It is the token that counts, not the name."""
        one = book(tokens={"secret": ("ann", 10.0), "other": "bob"})
        rows = [(holder("ann"), 9.0, True), (holder("ann"), 10.0, False), (holder("ann", "t1"), 0.0, False)]
        rows += [(holder("bob", "t1"), 1e12, True), (RECEIVER, 0.0, False)]
        self.assertEqual([one.holds(who, now) for who, now, _ in rows], [expected for *_, expected in rows])


class PlaceTests(SynchronousTestCase):
    """Whose place that is."""

    BOOK = book({"ann": ["/a", "ann.example/", "*.ann.example/x"], "bob": ["/b", "/a/bob"], "did:wba:x": ["/did"]})

    def where(self, identity: Identity, *announced: bytes) -> Any:
        """Where somebody may be, or the code it is refused with."""
        try:
            return [str(place) for place in self.BOOK.places_for(identity, announced)]
        except PlaceRefused as error:
            return error.close_code

    def test_owner(self) -> None:
        """The longest prefix on the same host says."""
        rows = {"/a": "ann", "/a/x": "ann", "/a/bob/x": "bob", "/ab": None, "/": None, "ann.example/q/r": "ann",
                "b.ann.example/x": None, "*.ann.example/x/y": "ann", "*.ann.example/": None, "h/b": None}  # fmt: skip
        self.assertEqual({text: self.BOOK.owner_of(parse_place(text)) for text in rows}, rows)

    def test_all(self) -> None:
        """Who owns something and announces nothing, or the root, is everywhere it owns."""
        for announced in ((), (b"",)):
            self.assertEqual(self.where(holder("ann"), *announced), ["/a", "*.ann.example/x", "ann.example/"])

    def test_part(self) -> None:
        """What is announced must be below something that is owned, on each host where it is."""
        rows: list[tuple[tuple[bytes, ...], Any]] = [
            ((b"/a/b",), ["/a/b", "ann.example/a/b"]),
            ((b"/x/y",), ["*.ann.example/x/y", "ann.example/x/y"]),
            ((b"/b",), ["ann.example/b"]),
            ((b"/a/bob",), ["ann.example/a/bob"]),
        ]
        self.assertEqual([self.where(holder("ann"), *announced) for announced, _ in rows], [want for _, want in rows])
        self.assertEqual(self.where(holder("bob"), b"/b", b"/c"), 4003)
        self.assertEqual(self.where(holder("bob"), b"/a"), 4003)

    def test_dids(self) -> None:
        """A DID owns by its name; the same name proved in another way is somebody else."""
        self.assertEqual(self.where(Identity(Kind.DID, "did:wba:x")), ["/did"])
        self.assertEqual(self.where(Identity(Kind.DID, "did:wba:y"), b"/did"), 4003)
        self.assertEqual(self.where(Identity(Kind.CERTIFICATE, "ann"), b"/a"), 4003)
        self.assertEqual(self.where(Identity(Kind.CERTIFICATE, "ann"), b"/c"), ["/c"])

    def test_free(self) -> None:
        """Without a row, what nobody owns is free for whoever may have it; a token of the registry may not."""
        self.assertEqual(self.where(RECEIVER), ["/"])
        self.assertEqual(self.where(RECEIVER, b"/c", b"/d"), ["/c", "/d"])
        self.assertEqual(self.where(RECEIVER, b"/c", b"/a/x"), 4003)
        self.assertEqual(self.where(holder("eve"), b"/c"), 4003)

    def test_proof(self) -> None:
        """What the proof of an identity does not allow, its rows do not give it."""

        def did(name: str, **allowed: Any) -> Identity:
            return Identity(Kind.DID, name, **allowed)

        self.assertEqual(self.where(did("ann", paths=frozenset({b"/a"}))), ["/a"])
        self.assertEqual(self.where(did("ann", hosts=frozenset({"ann.example"}))), ["ann.example/"])
        self.assertEqual(self.where(did("eve", paths=frozenset({b"/c"})), b"/c/d"), ["/c/d"])
        self.assertEqual(self.where(did("eve", paths=frozenset({b"/c"})), b"/d"), 4003)
        self.assertEqual(self.where(did("eve", hosts=frozenset({"h"})), b"/d"), ["h/d"])
        self.assertEqual(self.where(did("eve", hosts=frozenset({"ann.example"})), b"/d"), 4003)

    def test_table(self) -> None:
        """Who takes the table may change it; the book does not notice."""
        one = book({"ann": ["/a"]})
        first, second = one.take_table(), one.take_table()
        first.drop(parse_place("/a"))
        self.assertEqual((len(first), len(second), one.routes), (0, 1, 1))
        self.assertEqual(one.owner_of(parse_place("/a")), "ann")

    def test_options(self) -> None:
        """The rows with options, and no other."""
        rows = [RouteRow(parse_place("/a"), "ann"), RouteRow(parse_place("/b"), "ann", RouteSettings(concurrency=1))]
        self.assertEqual(Book(Snapshot((1,), [], rows, [])).options(), rows[1:])

    @given(
        st.dictionaries(
            st.sampled_from(["ann", "bob", "eve"]), st.lists(st.sampled_from(["/", "/a", "/a/b", "h/", "h/a"]))
        )
    )
    def test_nobodyElses(self, wanted: dict[str, list[str]]) -> None:
        """Whatever is registered and announced, nobody is where somebody else owns the place."""
        owned: dict[str, list[str]] = {}
        taken: set[str] = set()
        for name, places in wanted.items():
            owned[name] = [place for place in places if place not in taken]
            taken.update(places)
        one = book(owned)
        for announced in ([], [b"/a"], [b"/a/b"], [b"", b"/c"]):
            for identity in (holder("ann"), holder("bob"), Identity(Kind.DID, "eve"), RECEIVER):
                try:
                    found = one.places_for(identity, announced)
                except PlaceRefused:
                    continue
                self.assertTrue(found)
                for place in found:
                    self.assertIn(one.owner_of(place), (None, str(identity)))
