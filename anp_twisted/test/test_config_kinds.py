"""Rules of L{anp_twisted.config.kinds}."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config import kinds
from anp_twisted.config.kinds import Kind

ALL = [value for value in vars(kinds).values() if isinstance(value, Kind)]


class KindTests(SynchronousTestCase):
    """Text and TOML values become typed values, or C{ValueError}."""

    def accepts(self, kind: Kind[Any], table: dict[str, object]) -> None:
        for text, value in table.items():
            self.assertEqual(kind.from_text(text), value, text)

    def refuses(self, kind: Kind[Any], *texts: str) -> None:
        for text in texts:
            with self.assertRaises(ValueError, msg=text):
                kind.from_text(text)

    def test_port(self) -> None:
        """A port is 0 to 65535, in plain digits."""
        self.accepts(kinds.PORT, {"0": 0, "9877": 9877, "65535": 65535})
        self.refuses(kinds.PORT, "", "65536", "-1", "+1", "1.0", "0x10", " 1", "1_000", "٣", "9" * 5000)

    def test_optionalPort(self) -> None:
        """C{off}, C{none}, nothing and TOML's C{false} are no port; 0 is one."""
        self.accepts(kinds.OPTIONAL_PORT, {"off": None, "NONE": None, "": None, "0": 0, "80": 80})
        self.assertIsNone(kinds.OPTIONAL_PORT.from_toml(False))
        self.assertIsNone(kinds.OPTIONAL_PORT.from_toml("off"))
        self.assertEqual(kinds.OPTIONAL_PORT.from_toml(9878), 9878)
        self.assertRaises(ValueError, kinds.OPTIONAL_PORT.from_toml, True)

    def test_seconds(self) -> None:
        """Seconds are finite and not negative; a whole TOML number is one of seconds too."""
        self.accepts(kinds.SECONDS, {"0": 0.0, "0.5": 0.5, "300": 300.0})
        self.refuses(kinds.SECONDS, "", "-1", "nan", "inf", "1e3", "1.", ".5", "5s", "1" * 400)
        self.assertEqual(kinds.SECONDS.from_toml(5), 5.0)
        for value in (float("nan"), float("inf"), -0.1, True, "5", None, [1]):
            self.assertRaises(ValueError, kinds.SECONDS.from_toml, value)

    def test_some_seconds(self) -> None:
        """A time that cannot be off has a least value."""
        self.accepts(kinds.SOME_SECONDS, {"0.1": 0.1, "300": 300.0})
        self.refuses(kinds.SOME_SECONDS, "0", "0.09", "-1", "nan")
        self.assertEqual(kinds.SOME_SECONDS.from_toml(5), 5.0)
        self.assertRaises(ValueError, kinds.SOME_SECONDS.from_toml, 0)

    def test_size(self) -> None:
        """Sizes are bytes, or carry a binary unit."""
        self.accepts(kinds.SIZE, {"0": 0, "10": 10, "64KiB": 65536, "1 MiB": 1024**2, "2GiB": 2 * 1024**3, "7B": 7})
        self.refuses(kinds.SIZE, "", "-1", "1KB", "1.5MiB", "KiB", "1kib", "1" * 16)
        self.assertEqual(kinds.SIZE.from_toml(4096), 4096)
        self.assertEqual(kinds.SIZE.from_toml("4KiB"), 4096)
        for value in (True, -1, 1.0, None):
            self.assertRaises(ValueError, kinds.SIZE.from_toml, value)

    def test_flag(self) -> None:
        """A flag is what people write for true and false, and nothing else."""
        self.accepts(kinds.FLAG, {"1": True, "True": True, "yes": True, "on": True, "0": False, "no": False, "": False})
        self.refuses(kinds.FLAG, "2", "y", "enabled")
        self.assertIs(kinds.FLAG.from_toml(True), True)
        self.assertRaises(ValueError, kinds.FLAG.from_toml, 1)

    def test_prefix(self) -> None:
        """A path prefix is a path: no query, no fragment, no blank, no control character."""
        self.accepts(kinds.PREFIX, {"/": "/", "/a/b": "/a/b", "/%2F": "/%2F"})
        self.refuses(kinds.PREFIX, "", "a", "/a?b", "/a#b", "/a b", "/\n", "/é")

    def test_optionalPrefix(self) -> None:
        """The health page can be switched off."""
        self.accepts(kinds.OPTIONAL_PREFIX, {"off": "", "": "", "none": "", "/h": "/h"})
        self.refuses(kinds.OPTIONAL_PREFIX, "h")

    def test_websocketUrl(self) -> None:
        """The gateway is a ws or wss URL with a host and without a secret."""
        self.accepts(kinds.WEBSOCKET_URL, {url: url for url in ("ws://h/ws", "wss://h:1/ws", "ws://[::1]:9877/ws")})
        self.refuses(
            kinds.WEBSOCKET_URL,
            "http://h/ws", "h:9877", "ws://", "ws://h:0/", "ws://h:99999/", "ws://h:x/", "ws://[::1/",
            "ws://u:p@h/ws", "ws://h/ws#f", "ws://h/w s", "ws://h/\x00",
        )  # fmt: skip

    def test_proxy(self) -> None:
        """A proxy is an HTTP URL, or none; a password may be in it, but not where others read it."""
        full = "http://me:hunter2@proxy.example:3128"
        self.accepts(kinds.PROXY, {"http://a.example": "http://a.example", full: full, "off": "off", "NONE": "off"})
        self.refuses(
            kinds.PROXY, "https://a.example", "a.example:80", "http://", "http://a:99999", "http://a/b", "http://a?b"
        )
        self.assertEqual(kinds.PROXY.from_toml(full), full)
        argv = kinds.PROXY.from_argv
        assert argv is not None
        self.assertEqual(argv("http://a.example"), "http://a.example")
        with self.assertRaises(ValueError) as caught:
            argv(full)
        self.assertNotIn("hunter2", str(caught.exception))

    def test_database(self) -> None:
        """A database is a URL of one that is known; a password may be in it, but not where others read it."""
        full = "mysql://me:hunter2@h/d"
        good = ("sqlite:///a.db", "mariadb://h/d", "postgres://h/d", "postgresql://me@h/d", full)
        self.accepts(kinds.DATABASE, {text: text for text in good})
        self.refuses(kinds.DATABASE, "", "oracle://h/d", "mysql:h", "mysql://", "a.db", " sqlite:///a.db")
        argv = kinds.DATABASE.from_argv
        assert argv is not None
        self.assertEqual(argv("postgresql://me@h/d"), "postgresql://me@h/d")
        with self.assertRaises(ValueError) as caught:
            argv(full)
        self.assertNotIn("hunter2", str(caught.exception))

    def test_httpUrl(self) -> None:
        """The public URL is an http or https URL."""
        self.accepts(kinds.HTTP_URL, {"https://example.com": "https://example.com", "http://h:1/": "http://h:1/"})
        self.refuses(kinds.HTTP_URL, "example.com", "ws://h", "http://", "http://h\n", "http://\u202e")

    def test_app(self) -> None:
        """An application is a module and an attribute, or a factory."""
        self.accepts(kinds.APP, {text: text for text in ("m:app", "a.b:c.d", "m:make()")})
        self.refuses(kinds.APP, "", "m", "m:", ":app", "m-n:app", "m:app(1)", "a/b:c", "m:app:b", "m:()")

    def test_choice(self) -> None:
        """A log level is one of the five words, as they are written."""
        self.accepts(kinds.LEVEL, {"debug": "debug", "critical": "critical"})
        self.refuses(kinds.LEVEL, "", "INFO", "warning")

    def test_several(self) -> None:
        """Blanks separate the values in text; TOML has a list, or one string."""
        several = kinds.several(kinds.PREFIX)
        self.assertTrue(several.repeatable)
        self.accepts(several, {"/a  /b": ("/a", "/b"), "": ()})
        self.assertEqual(several.from_toml(["/a", "/b"]), ("/a", "/b"))
        self.assertEqual(several.from_toml("/a"), ("/a",))
        self.assertRaises(ValueError, several.from_toml, [1])
        self.assertRaises(ValueError, several.from_text, "/a b")

    def test_text(self) -> None:
        """Names of files and the like are not empty, and free of NUL."""
        self.accepts(kinds.FILE, {"a b": "a b"})
        self.refuses(kinds.FILE, "", "a\x00b")
        self.assertRaises(ValueError, kinds.FILE.from_toml, 5)

    @given(st.text(), st.sampled_from(ALL))
    def test_onlyValueErrorEscapes(self, text: str, kind: Kind[Any]) -> None:
        """Whatever the text, the outcome is a value or a C{ValueError} that does not repeat it."""
        try:
            kind.from_text(text)
        except ValueError as error:
            if len(text) > 60:
                self.assertNotIn(text, str(error))

    @given(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
        st.sampled_from(ALL),
    )
    def test_onlyValueErrorEscapesFromToml(self, value: object, kind: Kind[Any]) -> None:
        """Whatever the type, the outcome is a value or a C{ValueError}."""
        with contextlib.suppress(ValueError):
            kind.from_toml(value)
