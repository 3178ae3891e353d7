"""Tests for L{anp_twisted.http.certificate}."""

from __future__ import annotations

from cryptography import x509
from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http.certificate import certificate_name, peer_name
from anp_twisted.test.certificates import certificate_for


class NameTests(SynchronousTestCase):
    """Whom a certificate is for."""

    def test_name(self) -> None:
        """The common name counts; without one the first URI or DNS name."""
        both = [x509.DNSName("b.test"), x509.UniformResourceIdentifier("spiffe://c/d")]
        self.assertEqual(certificate_name(certificate_for("a", both)), "a")
        self.assertEqual(certificate_name(certificate_for(None, both)), "spiffe://c/d")
        self.assertEqual(certificate_name(certificate_for(None, both[:1])), "b.test")
        self.assertEqual(certificate_name(certificate_for(None, [])), "")

    def test_unusable(self) -> None:
        """A name that could not stand in a log is none."""
        for name in ("a\nb", "\u202ea", "é", "\x00"):
            self.assertEqual(certificate_name(certificate_for(name, [])), "", ascii(name))

    def test_transport(self) -> None:
        """Who showed nothing has no name."""

        class Transport:
            shown: crypto.X509 | None = None

            def getPeerCertificate(self) -> crypto.X509 | None:
                return self.shown

        transport = Transport()
        self.assertEqual(peer_name(transport), "")
        transport.shown = crypto.X509.from_cryptography(certificate_for("a", []))
        self.assertEqual(peer_name(transport), "a")
