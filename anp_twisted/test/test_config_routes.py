"""Rules of L{anp_twisted.config.routes}, and how it is reached from a file."""

from __future__ import annotations

import tomllib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.resolve import resolve
from anp_twisted.config.routes import CorsSettings, RouteSettings
from anp_twisted.config.schema import Places, settings_of
from anp_twisted.config.tables import BothSettings, FrontSettings, GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError
from anp_twisted.rates import Rate

FULL = """
[gateway]
trusted_proxy = ["10.0.0.0/8", "unix", "::ffff:192.0.2.0/120"]
rate_limit = "100/m"

[gateway.routes."/api/"]
allow = ["192.0.2.0/24"]
deny = "192.0.2.66"
rate_limit = "5/s"
total-rate-limit = "100/10s"
concurrency = 20
body_limit = "2GiB"
set_headers = { "Strict-Transport-Security" = "max-age=31536000", "X-Frame-Options" = "DENY" }
add_headers = { Link = ["</a>; rel=preload", "</b>; rel=preload"] }
remove_headers = ["Server", "X-Powered-By"]

[gateway.routes."/api".cors]
origins = ["https://app.example", "https://*.Example.com:8443"]
credentials = true

[gateway.routes."/"]
"""


def read(text: str, command: type[FrontSettings] = GatewaySettings) -> Any:
    """The settings a file gives."""
    cls: Any = command
    return resolve(cls, options={}, environment={}, document=tomllib.loads(text), file="f").settings


class ProofTests(SynchronousTestCase):
    """Callers that have to prove who they are."""

    def test_read(self) -> None:
        """Who may call is said where they have to prove it, and nowhere else."""
        start = '[gateway]\npublic_host = "a.example"\n[gateway.routes."/a"]\n'
        ((_, route),) = read(start + 'auth = "did"\nallow_did = "did:wba:b.example:*"').routes
        self.assertEqual((route.auth, route.allow_did), ("did", ("did:wba:b.example:*",)))
        for wrong in ('allow_did = "did:wba:b.example"', 'auth = "token"', 'auth = "did"\nallow_did = "did:wba:b=/x"'):
            self.assertRaises(SettingsError, read, start + wrong)

    def test_obeyed(self) -> None:
        """Where it could not be obeyed it is refused."""
        self.assertRaises(SettingsError, read, '[gateway.routes."/a"]\nauth = "did"')
        self.assertRaises(SettingsError, read, '[both.routes."/a"]\nauth = "did"', BothSettings)


class FileTests(SynchronousTestCase):
    """C{[gateway.routes."/prefix"]}."""

    def refused(self, text: str, command: type[FrontSettings] = GatewaySettings) -> str:
        """The line for the operator."""
        return str(self.assertRaises(SettingsError, read, text, command))

    def test_full(self) -> None:
        """Every option arrives with its type."""
        text = FULL.replace('"/api".cors', '"/api/".cors')
        settings = read(text)
        self.assertEqual(settings.trusted_proxy, ("10.0.0.0/8", "unix", "192.0.2.0/24"))
        self.assertEqual(settings.rate_limit, Rate(100, 60))
        expected = RouteSettings(
            allow=("192.0.2.0/24",),
            deny=("192.0.2.66/32",),
            rate_limit=Rate(5, 1),
            total_rate_limit=Rate(100, 10),
            concurrency=20,
            body_limit=2 * 1024**3,
            set_headers=(("Strict-Transport-Security", "max-age=31536000"), ("X-Frame-Options", "DENY")),
            add_headers=(("Link", "</a>; rel=preload"), ("Link", "</b>; rel=preload")),
            remove_headers=("Server", "X-Powered-By"),
            cors=CorsSettings(origins=("https://app.example", "https://*.example.com:8443"), credentials=True),
        )
        self.assertEqual(settings.routes, (("/api", expected), ("/", RouteSettings())))

    def test_twice(self) -> None:
        """Two spellings of one prefix are one too many."""
        self.assertEqual(self.refused(FULL), '"/api" in routes in [gateway] of f is given twice')

    def test_body(self) -> None:
        """The front lets in what the most generous route takes; the usual cap is kept beside it."""
        settings = read('body_limit = 1000\n[routes."/a"]\nbody_limit = 5000\n[routes."/b"]\nbody_limit = 10\n')
        self.assertEqual((settings.limits().body, settings.body_limit), (5000, 1000))
        self.assertEqual(read('[routes."/b"]\nbody_limit = 10\n').limits().body, GatewaySettings().body_limit)

    def test_both(self) -> None:
        """The command with both ends has routes too; the receiver has none."""
        self.assertEqual(len(read('[both.routes."/a"]\n', BothSettings).routes), 1)
        receiver: Any = ReceiverSettings
        self.assertIn("belongs under [gateway] or [both]", self.refused('app = "a:b"\n[routes."/a"]\n', receiver))

    def test_unknown(self) -> None:
        """A key that nothing knows is an error that names the nearest, on either level."""
        self.assertIn("did you mean 'rate_limit'?", self.refused('[gateway.routes."/a"]\nratelimit = "5/s"\n'))
        text = self.refused('[gateway.routes."/a".cors]\norigin = ["*"]\n')
        self.assertEqual(
            text, "unknown key 'origin' in cors in \"/a\" in routes in [gateway] of f; did you mean 'origins'?"
        )

    def test_onlyInFiles(self) -> None:
        """No option and no variable is made for tables."""
        error = self.assertRaises(
            SettingsError, resolve, GatewaySettings, options={}, environment={"ANP_ROUTES": "x"}, document={}
        )
        self.assertIn("unknown environment variable 'ANP_ROUTES'", str(error))

    def test_fields(self) -> None:
        """A proxy sets one family of fields."""
        self.assertIn("trusted-field", self.refused('trusted_field = ["forwarded", "x-forwarded-for"]\n'))
        self.assertEqual(read('trusted_field = ["forwarded"]\n').trusted_field, ("forwarded",))


class ValueTests(SynchronousTestCase):
    """What is taken and what is not."""

    def test_refused(self) -> None:
        """Each mistake is found when the file is read."""
        rows = [
            'allow = ["10.0.0.1/8"]', 'deny = ["nowhere"]', 'deny = ["unix"]', 'rate_limit = "0/s"', "rate_limit = 5",
            "concurrency = 0", 'body_limit = "x"', 'set_headers = { "Content-Length" = "5" }',
            'set_headers = { "X A" = "5" }', 'set_headers = { "X-A" = "5\\r\\nX-B: 6" }', 'set_headers = { "X-A" = 5 }',
            'set_headers = { "X-A" = "é" }', "set_headers = []", 'add_headers = { "Connection" = "close" }',
            'remove_headers = ["Transfer-Encoding"]', 'cors = { origins = [] }', 'cors = { origins = ["app.example"] }',
            'cors = { origins = ["https://app.example/"] }', 'cors = { origins = ["https://a.*.example"] }',
            'cors = { origins = ["https://*"] }', 'cors = { origins = ["*"], credentials = true }', "cors = {}",
            'cors = { origins = ["*"], methods = ["get"] }', 'cors = { origins = ["*"], headers = ["a b"] }',
        ]  # fmt: skip
        for row in rows:
            error = self.assertRaises(SettingsError, read, f'[gateway.routes."/a"]\n{row}\n')
            self.assertIn('"/a"', str(error))

    def test_prefixes(self) -> None:
        """A prefix can be read in one way only."""
        for prefix in ("", "a", "/a b", "/a%2Fb", "/a;b", "/a//b", "/./a", "/a/..", "/a\\\\b", "/a?b"):
            self.assertRaises(SettingsError, read, f'[gateway.routes."{prefix}"]\n')
        for prefix in ("/", "/a", "/a/", "/.well-known/x", "/a...b"):
            self.assertEqual(len(read(f'[gateway.routes."{prefix}"]\n').routes), 1)

    def test_declared(self) -> None:
        """Every option says what it is, and stands in files only."""
        for cls in (RouteSettings, CorsSettings):
            for row in settings_of(cls).values():
                self.assertTrue(row.help.endswith(".") and row.help[0].isupper(), row.name)
                self.assertIs(row.places, Places.ONLY_IN_FILE)
