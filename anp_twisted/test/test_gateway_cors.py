"""Rules of L{anp_twisted.gateway.cors}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.routes import CorsSettings
from anp_twisted.gateway.cors import Cors
from anp_twisted.headers import Header

PAGE = b"https://app.example"


def rules(*origins: str, **options: Any) -> Cors:
    """Rules for pages of these origins."""
    return Cors(CorsSettings(origins=origins or ("https://app.example",), **options))


def question(origin: bytes = PAGE, method: bytes = b"PUT", *more: Header) -> list[Header]:
    """What a browser asks."""
    return [(b"Host", b"h"), (b"Origin", origin), (b"Access-Control-Request-Method", method), *more]


class OriginTests(SynchronousTestCase):
    """Who may read."""

    def test_exact(self) -> None:
        """An origin is compared as a whole."""
        cors = rules("https://app.example", "http://localhost:3000")
        for origin in (b"https://app.example", b"http://localhost:3000"):
            self.assertTrue(cors.allows(origin))
        for origin in (b"http://app.example", b"https://app.example:8443", b"https://app.example.evil", b"null", b"",
                       b"https://evilapp.example", b"HTTPS://app.example", b"*"):  # fmt: skip
            self.assertFalse(cors.allows(origin), origin)

    def test_wild(self) -> None:
        """A star stands for one or more whole labels."""
        cors = rules("https://*.app.example")
        for origin in (b"https://a.app.example", b"https://a.b.app.example"):
            self.assertTrue(cors.allows(origin))
        for origin in (b"https://app.example", b"https://evilapp.example", b"https://a.app.example.evil",
                       b"https://a.app.example:1", b"http://a.app.example", b"https://.app.example",
                       b"https://evil.com/x.app.example", b"https://a@b.app.example",
                       b"https://a.app.example\n"):  # fmt: skip
            self.assertFalse(cors.allows(origin), origin)

    def test_any(self) -> None:
        """A star alone is everybody."""
        self.assertTrue(rules("*").allows(b"https://anything.example"))


class PreflightTests(SynchronousTestCase):
    """The question before a request."""

    def test_allowed(self) -> None:
        """The answer says what pages may do."""
        cors = rules(methods=("GET", "PUT"), headers=("X-One", "Content-Type"), credentials=True, max_age=60.0)
        fields = dict(cors.preflight(question()) or [])
        self.assertEqual(fields[b"Access-Control-Allow-Origin"], PAGE)
        self.assertEqual(fields[b"Access-Control-Allow-Methods"], b"GET, PUT")
        self.assertEqual(fields[b"Access-Control-Allow-Headers"], b"X-One, Content-Type")
        self.assertEqual(fields[b"Access-Control-Allow-Credentials"], b"true")
        self.assertEqual(fields[b"Access-Control-Max-Age"], b"60")
        self.assertIn(b"Origin", fields[b"Vary"])

    def test_anyField(self) -> None:
        """With a star, pages may set what they ask for, credentials or not."""
        asked = (b"Access-Control-Request-Headers", b"x-a,x-b")
        for credentials in (False, True):
            cors = rules(headers=("*",), credentials=credentials)
            fields = dict(cors.preflight(question(PAGE, b"GET", asked)) or [])
            self.assertEqual(fields[b"Access-Control-Allow-Headers"], b"x-a,x-b")
            self.assertNotIn(b"Access-Control-Allow-Headers", dict(cors.preflight(question()) or []))

    def test_stranger(self) -> None:
        """Another origin gets no permission, and no cache mistakes that for an answer to all."""
        fields = rules().preflight(question(b"https://evil.example"))
        self.assertEqual([name for name, _ in fields or []], [b"Vary"])

    def test_noQuestion(self) -> None:
        """An OPTIONS request that no browser asks belongs to the application."""
        for headers in ([], [(b"Origin", PAGE)], [(b"Access-Control-Request-Method", b"GET")],
                        [*question(), (b"origin", PAGE)]):  # fmt: skip
            self.assertIsNone(rules().preflight(headers))


class AnswerTests(SynchronousTestCase):
    """What is put on an answer."""

    def test_page(self) -> None:
        """A page of the origin may read it, and the fields that are exposed."""
        fields = rules(expose=("X-Total", "X-Page")).fields(PAGE)
        self.assertEqual(
            fields,
            [
                (b"Vary", b"Origin"),
                (b"Access-Control-Allow-Origin", PAGE),
                (b"Access-Control-Expose-Headers", b"X-Total, X-Page"),
            ],
        )

    def test_others(self) -> None:
        """Everybody else gets the same but for the permission."""
        for origin in (None, b"https://evil.example"):
            self.assertEqual(rules(credentials=True).fields(origin), [(b"Vary", b"Origin")])

    def test_everybody(self) -> None:
        """Where everybody may read, the answer is the same for all."""
        self.assertEqual(rules("*").fields(PAGE), [(b"Access-Control-Allow-Origin", b"*")])
        self.assertEqual(rules("*").fields(None), [])
