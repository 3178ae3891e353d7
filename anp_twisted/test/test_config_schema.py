"""Rules of L{anp_twisted.config.schema}."""

from __future__ import annotations

from dataclasses import MISSING, dataclass

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config import kinds
from anp_twisted.config.schema import Places, nearest, setting, settings_of, shown


@dataclass(frozen=True, kw_only=True)
class Base:
    """What is inherited."""

    log_file: str | None = setting(kinds.FILE, "Base.", None)
    token: str = setting(kinds.SECRET, "Secret.", "geheim", Places.NOT_BY_ARGV)


@dataclass(frozen=True, kw_only=True)
class Derived(Base):
    """What is declared itself."""

    tls_cert: str = setting(kinds.FILE, "Derived.")


class SchemaTests(SynchronousTestCase):
    """A dataclass is the table."""

    def test_order(self) -> None:
        """What a class declares itself comes first."""
        self.assertEqual(list(settings_of(Derived)), ["tls_cert", "log_file", "token"])

    def test_names(self) -> None:
        """Option and variable are made from the name of the field."""
        row = settings_of(Derived)["tls_cert"]
        self.assertEqual((row.option, row.variable), ("tls-cert", "ANP_TLS_CERT"))
        self.assertIs(row.default, MISSING)
        self.assertEqual(row.help, "Derived.")

    def test_secretsHaveNoRepr(self) -> None:
        """A secret is not in the representation of the settings."""
        self.assertNotIn("geheim", repr(Derived(tls_cert="x")))

    def test_nearest(self) -> None:
        """The nearest valid word is named, however far it is, and nothing where there is none."""
        self.assertEqual(nearest("prot", ["port", "path"]), "; did you mean 'port'?")
        self.assertIn("did you mean", nearest("xyzzy", ["port", "path"]))
        self.assertEqual(nearest("x", []), "")

    def test_shown(self) -> None:
        """Defaults are shown as the operator would write them."""
        for value, text in ((None, "none"), ("", "none"), (("/a", "/b"), "/a /b"), (300.0, "300"), (0.5, "0.5"),
                            (True, "true"), (False, "false"), (9877, "9877"), (0, "0"), ("x", "x")):  # fmt: skip
            self.assertEqual(shown(value), text)
