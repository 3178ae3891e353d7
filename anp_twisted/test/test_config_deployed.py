"""Rules of L{anp_twisted.config.deployed}."""

from __future__ import annotations

import tomllib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.deployed import translated
from anp_twisted.config.resolve import resolve
from anp_twisted.config.tables import BothSettings, GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError

FIRST = """
mode = "both"
[gateway]
host = "0.0.0.0"
port = 8080
wss_host = "0.0.0.0"
wss_port = 8765
max_connections = 100
timeout = 30.0
chunk_size = 65536
[gateway.tls]
enabled = true
cert_file = "server.crt"
key_file = "server.key"
ca_file = "ca.crt"
verify_mode = "required"
[gateway.auth]
enabled = true
[receiver]
gateway_url = "wss://localhost:8765"
local_app_module = "myapp:app"
[receiver.tls]
enabled = true
verify_mode = "required"
[receiver.auth]
enabled = false
[logging]
level = "INFO"
"""
"""The older generation, with both ends."""

SECOND = """
debug = false
[logging]
level = "INFO"
log_dir = "/var/log/anp/"
max_size = "10MB"
backup_count = 7
[gateway]
host = "0.0.0.0"
port = 9877
max_connections = 100
timeout = 120.0
keepalive_timeout = 60.0
chunk_size = 65536
ping_interval = 10.0
enable_smart_routing = true
service_cache_ttl = 300
[gateway.tls]
enabled = false
cert_file = "server.crt"
[gateway.auth]
nonce_window_seconds = 120
[gateway.database]
enabled = true
host = "db.example.org"
port = 3307
user = "anp user"
password = "p@ss:w/rd"
database = "anp_proxy"
charset = "utf8mb4"
"""
"""The newer one, a gateway alone."""

RECEIVER = """
mode = "receiver"
[receiver]
gateway_url = "wss://gateway.example.com:8765"
local_app_module = "myapp:app"
reconnect_enabled = true
reconnect_delay = 5.0
max_reconnect_attempts = 10
[receiver.tls]
enabled = true
ca_file = "ca.crt"
verify_mode = "required"
"""


def settings(command: type[CommonSettings], text: str) -> Any:
    """Read a file for a command."""
    document = tomllib.loads(text)
    return resolve(command, options={}, environment={}, document=document, file="anp.toml").settings


class GenerationTests(SynchronousTestCase):
    """Files as they are in use."""

    def test_gateway_of_the_second(self) -> None:
        """Each key of it has become a setting."""
        found = settings(GatewaySettings, SECOND)
        self.assertEqual((found.host, found.port, found.connections, found.keep_alive), ("0.0.0.0", 9877, 100, 60.0))
        self.assertEqual((found.first_byte_timeout, found.ping_interval, found.chunk_size), (120.0, 10.0, 65536))
        self.assertEqual((found.registry_reread, found.proof_age, found.tls_cert), (300.0, 120.0, None))
        self.assertEqual(
            found.database, "mysql://anp%20user:p%40ss%3Aw%2Frd@db.example.org:3307/anp_proxy?charset=utf8mb4"
        )
        self.assertEqual((found.log_level, found.log_file), ("info", "/var/log/anp/anp-gateway.log"))
        self.assertEqual((found.log_file_size, found.log_file_count), (10 * 1024**2, 7))

    def test_both_of_the_first(self) -> None:
        """Gateway and receiver of one file become one process, whose link needs nothing."""
        found = settings(
            BothSettings,
            FIRST.replace('ca_file = "ca.crt"\nverify_mode = "required"\n[gateway.auth]', "[gateway.auth]"),
        )
        self.assertEqual((found.host, found.port, found.wss_port, found.app), ("0.0.0.0", 8080, 8765, ("myapp:app",)))
        self.assertEqual((found.tls_cert, found.tls_key), ("server.crt", "server.key"))

    def test_gateway_of_the_first(self) -> None:
        """The same file serves each end for itself."""
        found = settings(GatewaySettings, FIRST.replace("[receiver.auth]\nenabled = false\n", ""))
        self.assertEqual((found.wss_port, found.client_ca, found.first_byte_timeout), (8765, "ca.crt", 30.0))

    def test_receiver(self) -> None:
        """The private end."""
        found = settings(ReceiverSettings, RECEIVER)
        self.assertEqual((found.gateway, found.app), (("wss://gateway.example.com:8765",), ("myapp:app",)))
        self.assertEqual((found.ca_file, found.reconnect_delay, found.max_reconnect_attempts), ("ca.crt", 5.0, 10))

    def test_own_words(self) -> None:
        """A file in our own words is left as it is."""
        document = tomllib.loads('state_dir = "x"\n[gateway]\nport = 1\n[gateway.routes."/a"]\nconcurrency = 1\n')
        self.assertEqual(translated(document, "gateway", "f"), document)


class RefusalTests(SynchronousTestCase):
    """Keys that cannot be obeyed."""

    def refused(self, text: str, *parts: str, command: type[CommonSettings] = GatewaySettings) -> None:
        """It is not read, and the error has these words."""
        message = str(self.assertRaises(SettingsError, settings, command, text))
        for part in parts:
            self.assertIn(part, message)
        self.assertNotIn("\n", message)

    def test_all_named(self) -> None:
        """One error names them all."""
        self.refused(
            '[logging]\nformat = "x"\nenvironment = "production"\n[gateway]\nenable_smart_routing = false\n'
            '[gateway.auth]\njwt_private_key_path = "a"\ndid = "did:wba:a"\n',
            "format in [logging]",
            "environment in [logging]",
            "enable_smart_routing in [gateway]",
            "jwt_private_key_path in [gateway.auth]",
            "did in [gateway.auth]",
        )

    def test_unknown(self) -> None:
        """A key that nobody knows, in each table."""
        self.refused(
            "[gateway.tls]\nenabled = true\ncert_file='a'\nkey_file='b'\nx = 1", "x in [gateway.tls] (unknown)"
        )
        self.refused("[gateway.auth]\nx = 1", "x in [gateway.auth]")
        self.refused("[gateway.database]\ndatabase='d'\nx = 1", "x in [gateway.database]")
        self.refused("[logging]\nx = 1", "x in [logging]")
        self.refused("[gateway]\nmax_connection = 1", "'max_connection'", "did you mean")
        self.refused("[receiver.tls]\nx = 1", "x in [receiver.tls]", command=ReceiverSettings)

    def test_secure(self) -> None:
        """What would be less safe than it looks."""
        self.refused("[gateway.auth]\nenabled = false", "enabled in [gateway.auth]")
        self.refused("[receiver.auth]\nenabled = false", "enabled in [receiver.auth]", command=ReceiverSettings)
        tls = "[gateway.tls]\nenabled = true\ncert_file='a'\nkey_file='b'\n"
        self.refused(tls + "verify_mode = 'required'", "verify_mode in [gateway.tls]")
        self.refused(tls + "verify_mode = 'none'\nca_file = 'c'", "ca_file in [gateway.tls]")
        self.refused(tls + "verify_mode = 'maybe'", "verify_mode in [gateway.tls]")
        self.refused("[gateway.tls]\nenabled = true", "cert_file in [gateway.tls] (missing)")
        url = "[receiver]\ngateway_url = 'ws://127.0.0.1/ws'\n[receiver.tls]\nenabled = true"
        self.refused(url, "enabled in [receiver.tls]", command=ReceiverSettings)
        url = "[receiver]\ngateway_url = 'wss://h/ws'\n[receiver.tls]\nverify_mode = 'none'"
        self.refused(url, "verify_mode in [receiver.tls]", command=ReceiverSettings)

    def test_twice(self) -> None:
        """The old word and the new one."""
        self.refused("[gateway]\nmax_connections = 1\nconnections = 2", "contradict")
        self.refused("log_level = 'info'\n[logging]\nlevel = 'INFO'", "contradict")
        self.refused("[logging]\nfile = 'a'\nlog_dir = 'b'", "log_dir in [logging]")

    def test_mode(self) -> None:
        """A mode that is none, or not that of the command."""
        self.refused("mode = 'x'", "mode (must be")
        self.refused("mode = 'receiver'", "anp-gateway was started")

    def test_other_hosts(self) -> None:
        """The second port is on the same host; the receiver of the same process needs no other gateway."""
        self.refused("[gateway]\nhost = '127.0.0.1'\nwss_host = '0.0.0.0'", "wss_host in [gateway]")
        text = "mode = 'both'\n[receiver]\nlocal_app_module = 'a:b'\ngateway_url = 'wss://elsewhere:8765'"
        self.refused(text, "gateway_url in [receiver]", command=BothSettings)
        text = "mode = 'both'\nworkers = 1\n[gateway]\nping_interval = 5\n[receiver]\nping_interval = 6"
        self.refused(text, "ping_interval differs", command=BothSettings)

    def test_values(self) -> None:
        """Values are judged like those of our own words."""
        self.refused("[gateway]\nmax_connections = 'many'", "connections in [gateway]")
        self.refused("[logging]\nmax_size = 'big'", "max_size in [logging]")
        self.refused("debug = 1", "debug must be")
        self.refused("[gateway.tls]\nenabled = 'yes'\ncert_file='a'\nkey_file='b'", "enabled in [gateway.tls]")
        self.refused("[logging]\nlevel = 'LOUD'", "log_level")

    def test_debug(self) -> None:
        """It says the level."""
        self.assertEqual(settings(GatewaySettings, "debug = true\n[logging]\nlevel = 'ERROR'").log_level, "debug")
        self.assertEqual(settings(GatewaySettings, "[logging]\nlevel = 'WARNING'").log_level, "warn")
