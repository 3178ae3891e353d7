"""Tests of L{anp_twisted.config.mounts}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config import kinds
from anp_twisted.config.mounts import Mount, Sort, mounted, mounts_of, split
from anp_twisted.config.tables import BothSettings, ReceiverSettings
from anp_twisted.errors import SettingsError


class ValueTests(SynchronousTestCase):
    """One value, from each place."""

    def test_split(self) -> None:
        """A path is in front if there is a slash at the beginning."""
        self.assertEqual(split("/a=m:app"), ("/a", "m:app"))
        self.assertEqual(split("http://h/a=b"), ("", "http://h/a=b"))
        self.assertEqual(split("/a=http://h/b=c"), ("/a", "http://h/b=c"))

    def test_places(self) -> None:
        """A variable separates them by blanks, TOML has a string, a list or a table."""
        kind = mounted(kinds.APP)
        expected = ("/a=m:app", "/b=n:app()")
        self.assertEqual(kind.from_text("/a=m:app /b=n:app()"), expected)
        self.assertEqual(kind.from_toml(["/a=m:app", "/b=n:app()"]), expected)
        self.assertEqual(kind.from_toml({"/a": "m:app", "/b": "n:app()"}), expected)
        self.assertEqual(kind.from_toml("m:app"), ("m:app",))

    def test_refused(self) -> None:
        """The path and what is behind it are both checked."""
        app, target = mounted(kinds.APP), mounted(kinds.TARGET)
        for kind, value in ((app, "/a=nothing"), (app, "/a?=m:a"), (app, "/a/../b=m:a"), (target, "/a=h:1")):
            self.assertRaises(ValueError, kind.from_text, value)
        for wrong in (1, [1], {"/a": 1}, {"a": "m:a"}):
            self.assertRaises(ValueError, app.from_toml, wrong)


class MountsTests(SynchronousTestCase):
    """All values together."""

    def refused(self, *given: tuple[Sort, str], paths: tuple[str, ...] = ()) -> str:
        return str(self.assertRaises(SettingsError, mounts_of, given, paths))

    def test_one(self) -> None:
        """What has no path in front serves what C{--path} says, or everything."""
        self.assertEqual(mounts_of([(Sort.APP, "m:a")], ()), (Mount(("/",), Sort.APP, "m:a"),))
        self.assertEqual(mounts_of([(Sort.WSGI, "m:a")], ("/x", "/y")), (Mount(("/x", "/y"), Sort.WSGI, "m:a"),))
        self.assertEqual(mounts_of([], ()), ())

    def test_several(self) -> None:
        """Those with paths come as they were written, what has none is the rest."""
        found = mounts_of([(Sort.APP, "m:a"), (Sort.APP, "/b=m:b"), (Sort.TARGET, "/c=http://h")], ())
        self.assertEqual([mount.paths for mount in found], [("/b",), ("/c",), ("/",)])
        self.assertEqual([mount.sort for mount in found], [Sort.APP, Sort.TARGET, Sort.APP])

    def test_mistakes(self) -> None:
        """Each is named with what to write."""
        self.assertIn("--target /api=http://h", self.refused((Sort.APP, "m:a"), (Sort.TARGET, "http://h")))
        self.assertIn("is given twice, to --app and --wsgi", self.refused((Sort.APP, "/a=m:a"), (Sort.WSGI, "/a/=m:b")))
        self.assertIn("nothing to serve", self.refused((Sort.APP, "/a=m:a"), paths=("/b",)))
        self.assertIn("is given twice", self.refused((Sort.APP, "/a=m:a"), (Sort.APP, "m:b"), paths=("/a",)))
        self.assertIn("is not a path prefix", self.refused((Sort.APP, "m:a"), paths=("/a/../b",)))

    def test_settings(self) -> None:
        """A receiver needs one at least; both in one process need none; what has no effect is refused."""
        self.assertIn("--wsgi", str(self.assertRaises(SettingsError, ReceiverSettings)))
        self.assertEqual((BothSettings().mounts(), BothSettings().served()), ((), ("/",)))
        settings = ReceiverSettings(app=("/a=m:a", "m:b"), target=("/c=http://h",), path=("/x",))
        self.assertEqual(settings.served(), ("/a", "/c", "/x"))
        for wrong in ({"target_host": "target"}, {"wsgi_threads": 3}, {"target_timeout": 1.0}):
            error = self.assertRaises(SettingsError, ReceiverSettings, app=("m:a",), **wrong)
            self.assertIn("has no effect without", str(error))
        limits = ReceiverSettings(target=("http://h",), target_timeout=1.0, target_connections=3).limits()
        self.assertEqual((limits.target_silence, limits.target_connections), (1.0, 3))
