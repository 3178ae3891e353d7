"""
The settings files of deployments that exist, in the words of this project.

Pure. Such a file has C{mode}, C{debug} and C{[logging]} at the top and tables
within C{[gateway]} and C{[receiver]}. Two generations of it are in use. Each key
becomes a setting, or says what holds here anyway, or is refused by its name.
C{docs/reference/settings-file.md} is the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from anp_twisted.errors import SettingsError

MODES: Final = ("gateway", "receiver", "both")

_ANYTIME: Final = "a receiver always looks for its gateway again; max_reconnect_attempts bounds it"
_BY_PATH: Final = "requests always go to whom the path belongs"
_TLS_ALWAYS: Final = "the gateway's certificate is always verified; for laboratories there is the option insecure"

_RENAMED: Final[dict[str, dict[str, str]]] = {
    "gateway": {
        "max_connections": "connections",
        "timeout": "first_byte_timeout",
        "keepalive_timeout": "keep_alive",
        "service_cache_ttl": "registry_reread",
    },
    "receiver": {"gateway_url": "gateway", "local_app_module": "app"},
}
"""Keys that only have another name here, by table."""

_FIXED: Final[dict[str, dict[str, tuple[object, str]]]] = {
    "gateway": {"enable_smart_routing": (True, _BY_PATH)},
    "receiver": {"reconnect_enabled": (True, _ANYTIME)},
}
"""Keys of which one value is what holds here anyway, and why there is no other."""

_REFUSED: Final[dict[str, dict[str, str]]] = {
    "logging": {
        "format": "the lines of the log have one format",
        "environment": "there is one behaviour for all environments",
    },
    "gateway.auth": {
        "resolver_base_url": "a DID is resolved where it says itself",
        "jwt_private_key_path": "there are no JWTs",
        "jwt_public_key_path": "there are no JWTs",
    },
    "gateway.database": {
        "min_connections": "the registry has one connection",
        "max_connections": "the registry has one connection",
        "connect_timeout": "it is fixed, so that strangers never wait longer",
    },
}
"""Keys that nothing here could obey."""

_SIZE = re.compile(r"(\d{1,12}) ?(B|K|KB|KIB|M|MB|MIB|G|GB|GIB)?", re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "K": 1024, "M": 1024**2, "G": 1024**3}

Section = dict[str, Any]


class _Work:
    """
    One file on its way.

    @ivar complaints: what is wrong with it.
    @ivar together: see L{__init__}.
    """

    def __init__(self, together: bool) -> None:
        """
        @param together: whether gateway and receiver are one process, so that neither has to prove anything.
        """
        self.complaints: list[str] = []
        self.together = together

    def complain(self, table: str, key: str, why: str) -> None:
        """Refuse a key."""
        self.complaints.append(f"{key} in [{table}] ({why})" if table else f"{key} ({why})")

    def put(self, into: Section, name: str, value: Any, told_by: str) -> None:
        """Set a setting, unless it is said already in our own words."""
        if name in into:
            self.complaints.append(f"{told_by} and {name} contradict each other")
        into[name] = value

    def flat(self, table: str, given: Section) -> Section:
        """Rename the keys of a table."""
        found: Section = {}
        for key, value in given.items():
            new = _RENAMED.get(table, {}).get(key)
            fixed = _FIXED.get(table, {}).get(key)
            if fixed is not None:
                if value != fixed[0]:
                    self.complain(table, key, fixed[1])
            elif key in _REFUSED.get(table, {}):
                self.complain(table, key, _REFUSED[table][key])
            elif new is not None:
                self.put(found, new, value, f"{key} in [{table}]")
            elif key in found:
                self.complaints.append(f"{key} in [{table}] and an older word for it contradict each other")
            else:
                found[key] = value
        return found


def translated(document: Mapping[str, Any], command: str, file: str) -> dict[str, Any]:
    """
    @param document: what the file holds.
    @param command: for which of the commands it is read.
    @param file: its name, for errors.
    @return: the same in our own words; a document that is in our words already comes back as it is.
    @raise SettingsError: there are keys that cannot be obeyed; it names all of them.
    """
    out: dict[str, Any] = dict(document)
    mode = out.pop("mode", None)
    work = _Work(command == mode == "both")
    if mode is not None and mode not in MODES:
        work.complain("", "mode", "must be gateway, receiver or both")
    elif mode not in (None, "both", command):
        work.complain("", "mode", f"it says {mode}, and anp-{command} was started")
    _logging(work, out, command)
    for table, inner in (("gateway", _GATEWAY_TABLES), ("receiver", _RECEIVER_TABLES)):
        section = out.get(table)
        if isinstance(section, dict):
            out[table] = _section(work, table, section, inner)
    if work.together and "both" not in out:
        _merge(work, out)
    if work.complaints:
        raise SettingsError(f"{file} has what cannot be obeyed: {'; '.join(work.complaints)}")
    return out


def _section(work: _Work, table: str, section: Section, inner: Mapping[str, _Inner]) -> Section:
    """Translate a section with the tables in it."""
    tables = {name: section[name] for name in inner if isinstance(section.get(name), dict)}
    found = work.flat(table, {key: value for key, value in section.items() if key not in tables})
    for name, values in tables.items():
        inner[name](work, found, work.flat(f"{table}.{name}", values))
    if table == "gateway" and "wss_host" in found:
        host = found.pop("wss_host")
        if host != found.get("host", host):
            work.complain(table, "wss_host", "wss_port is opened on host; name the endpoint with wss_listen instead")
        found.setdefault("host", host)
    return found


# --- the tables --------------------------------------------------------------


def _switched_off(work: _Work, table: str, values: Section) -> bool:
    """Take C{enabled} out of a table; a table that is off says nothing."""
    enabled = values.pop("enabled", True)
    if not isinstance(enabled, bool):
        work.complain(table, "enabled", "must be true or false")
    return enabled is False


def _rest(work: _Work, table: str, values: Section) -> None:
    """Refuse what is left of a table."""
    for key in values:
        work.complain(table, key, "unknown")


def _gateway_tls(work: _Work, found: Section, values: Section) -> None:
    """C{[gateway.tls]}: what listeners show, and whether receivers have to show something, too."""
    table = "gateway.tls"
    if _switched_off(work, table, values):
        return
    mode, authority = values.pop("verify_mode", None), values.pop("ca_file", None)
    for old, new in (("cert_file", "tls_cert"), ("key_file", "tls_key")):
        if old in values:
            work.put(found, new, values.pop(old), f"{old} in [{table}]")
        else:
            work.complain(table, old, "missing")
    if mode not in (None, "none", "optional", "required"):
        work.complain(table, "verify_mode", "must be none, optional or required")
    elif mode == "required" and authority is None:
        work.complain(table, "verify_mode", "to ask receivers for certificates, name their authority with ca_file")
    elif mode == "none" and authority is not None:
        work.complain(table, "ca_file", "verify_mode says that no certificate is asked for")
    elif authority is not None:
        work.put(found, "client_ca", authority, f"ca_file in [{table}]")
    _rest(work, table, values)


def _always_asked(work: _Work, table: str) -> None:
    """There is no gateway that asks nobody; only the receiver beside it has nothing to say."""
    if not work.together:
        work.complain(table, "enabled", "a gateway always asks receivers who they are")


def _gateway_auth(work: _Work, found: Section, values: Section) -> None:
    """C{[gateway.auth]}: how receivers prove who they are."""
    table = "gateway.auth"
    if _switched_off(work, table, values):
        _always_asked(work, table)
        return
    for key in ("shared_secret", "token_expiry"):
        if key in values:
            work.put(found, key, values.pop(key), f"{key} in [{table}]")
    if "nonce_window_seconds" in values:
        work.put(found, "proof_age", values.pop("nonce_window_seconds"), f"nonce_window_seconds in [{table}]")
    if "did" in values:
        values.pop("did")
        work.complain(table, "did", "a gateway proves a DID with its document and key: did_document and did_key")
    _rest(work, table, values)


def _database(work: _Work, found: Section, values: Section) -> None:
    """C{[gateway.database]}: where the registry is."""
    table = "gateway.database"
    if _switched_off(work, table, values):
        return
    host, port = values.pop("host", "localhost"), values.pop("port", 3306)
    user, password, name = values.pop("user", ""), values.pop("password", ""), values.pop("database", None)
    charset = values.pop("charset", "utf8mb4")
    if not isinstance(name, str) or not name:
        work.complain(table, "database", "missing")
        return
    if charset != "utf8mb4":
        work.complain(table, "charset", "only utf8mb4 holds every name")
    who = quote(str(user), safe="") + (f":{quote(str(password), safe='')}" if password else "")
    where = f"[{host}]" if ":" in str(host) else str(host)
    url = f"mysql://{who + '@' if who else ''}{where}:{port}/{quote(name, safe='')}?charset=utf8mb4"
    work.put(found, "database", url, f"[{table}]")
    _rest(work, table, values)


def _receiver_tls(work: _Work, found: Section, values: Section) -> None:
    """C{[receiver.tls]}: whom to trust, and what to show."""
    table = "receiver.tls"
    off = _switched_off(work, table, values)
    urls = found.get("gateway", [])
    for url in urls if isinstance(urls, list) else [urls]:
        if str(url).startswith("ws:" if not off else "wss:"):
            work.complain(table, "enabled", f"it contradicts the scheme of {url}")
    if off:
        return
    if values.pop("verify_mode", "required") != "required":
        work.complain(table, "verify_mode", _TLS_ALWAYS)
    for old, new in (("ca_file", "ca_file"), ("cert_file", "tls_cert"), ("key_file", "tls_key")):
        if old in values:
            work.put(found, new, values.pop(old), f"{old} in [{table}]")
    _rest(work, table, values)


def _receiver_auth(work: _Work, found: Section, values: Section) -> None:
    """C{[receiver.auth]}: how it proves who it is."""
    table = "receiver.auth"
    if _switched_off(work, table, values):
        _always_asked(work, table)
        return
    if "shared_secret" in values:
        work.put(found, "shared_secret", values.pop("shared_secret"), f"shared_secret in [{table}]")
    if values.pop("token_expiry", None) is not None:
        work.complain(table, "token_expiry", "the gateway says how long a proof is good")
    _rest(work, table, values)


_Inner = Callable[[_Work, Section, Section], None]
_GATEWAY_TABLES: Final[dict[str, _Inner]] = {"tls": _gateway_tls, "auth": _gateway_auth, "database": _database}
_RECEIVER_TABLES: Final[dict[str, _Inner]] = {"tls": _receiver_tls, "auth": _receiver_auth}


# --- the top -----------------------------------------------------------------


def _logging(work: _Work, out: dict[str, Any], command: str) -> None:
    """C{debug} and C{[logging]}: they hold for every command."""
    debug = out.pop("debug", False)
    table = out.pop("logging", {})
    if not isinstance(debug, bool) or not isinstance(table, dict):
        work.complaints.append("debug must be true or false, and logging a table")
        return
    values = work.flat("logging", table)
    level = values.pop("level", None)
    if level is not None:
        named = {"warning": "warn"}.get(str(level).lower(), str(level).lower())
        work.put(out, "log_level", named, "level in [logging]")
    if debug:
        out["log_level"] = "debug"
    file, folder = values.pop("file", None), values.pop("log_dir", None)
    if file is not None and folder is not None:
        work.complain("logging", "log_dir", "file says where the log is")
    elif file is not None or folder is not None:
        place = file if file is not None else f"{str(folder).rstrip('/')}/anp-{command}.log"
        work.put(out, "log_file", place, "file in [logging]")
    if "max_size" in values:
        work.put(out, "log_file_size", _size(work, values.pop("max_size")), "max_size in [logging]")
    if "backup_count" in values:
        work.put(out, "log_file_count", values.pop("backup_count"), "backup_count in [logging]")
    _rest(work, "logging", values)


def _size(work: _Work, value: object) -> int:
    """Read a size such as C{"10MB"}; a bare number is bytes."""
    match = _SIZE.fullmatch(str(value)) if not isinstance(value, bool) else None
    if match is None:
        work.complain("logging", "max_size", "must be a number of bytes, or such as 10MB")
        return 1
    return int(match[1]) * _UNITS[(match[2] or "").upper()[:1]]


# --- both in one process -------------------------------------------------------


def _merge(work: _Work, out: dict[str, Any]) -> None:
    """Say in C{[both]} what the file says of a gateway and of the receiver in the same process."""
    gateway = dict(out.get("gateway") or {})
    receiver = dict(out.get("receiver") or {})
    urls = receiver.pop("gateway", [])
    for url in urls if isinstance(urls, list) else [urls]:
        if not _is_own(str(url), gateway):
            work.complain("receiver", "gateway_url", "in mode both the receiver is linked to the gateway beside it")
    both: Section = gateway
    for key, value in receiver.items():
        if key in both and both[key] != value:
            work.complaints.append(f"{key} differs in [gateway] and [receiver], which are one process in mode both")
        both[key] = value
    out["both"] = both


def _is_own(url: str, gateway: Section) -> bool:
    """Whether a URL is that of the gateway in the same process."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    ports = {gateway.get("port", 9877), gateway.get("wss_port")}
    return parts.hostname in ("localhost", "127.0.0.1", "::1", gateway.get("host")) and port in ports
