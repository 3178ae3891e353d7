"""
Where the registry is, from a setting to a L{Store<anp_twisted.registry.sql.Store>}.

SQLAlchemy is imported when there is something to read: a gateway that has no
registry does not pay for one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from anp_twisted.errors import SettingsError
from anp_twisted.registry.book import NOTHING, Book

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from anp_twisted.registry.sql import Store

REGISTRY_FILE: Final = "registry.sqlite"
"""Its name in the state folder."""

_DRIVERS: Final = {
    "sqlite": ("sqlite", "sqlite3", ""),
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
    "postgresql": ("postgresql+psycopg", "psycopg", "postgresql"),
    "postgres": ("postgresql+psycopg", "psycopg", "postgresql"),
}
"""By scheme: what SQLAlchemy calls it, the module of the driver, and the extra that brings it."""

_CONNECT: Final = 2
_ANSWER: Final = 10

_TIMEOUTS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"timeout": _CONNECT},
    "mysql": {"connect_timeout": _CONNECT, "read_timeout": _ANSWER, "write_timeout": _ANSWER},
    "postgresql": {
        "connect_timeout": _CONNECT,
        "keepalives_idle": _ANSWER,
        "keepalives_interval": _CONNECT,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * _ANSWER,
        "options": f"-c statement_timeout={1000 * _ANSWER} -c lock_timeout={1000 * _CONNECT}",
    },
}
"""For the driver, in its words. A thread that waits longer than that has lost its connection."""


def parse_url(text: str) -> URL:
    """
    @param text: C{sqlite:///file}, C{mysql://…}, C{mariadb://…} or C{postgresql://…}.
    @raise SettingsError: it is none of them; its text has no password in it.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError("database must be a URL such as mysql://user:password@host/name") from None
    scheme = url.drivername.partition("+")[0]
    if scheme not in _DRIVERS:
        raise SettingsError(f"database must be sqlite, mysql, mariadb or postgresql, not {scheme}")
    if not url.database or url.database == ":memory:":
        raise SettingsError("database must say which: a file for sqlite, else a name")
    return url.set(drivername=_DRIVERS[scheme][0])


def open_store(text: str) -> Store:
    """
    @param text: a URL; nothing is connected to yet.
    @raise SettingsError: it cannot be used.
    """
    import importlib.util

    from anp_twisted.registry.sql import Store

    url = parse_url(text)
    backend = url.get_backend_name()
    _, module, extra = _DRIVERS[backend]
    if importlib.util.find_spec(module) is None:
        raise SettingsError(f"database needs a driver: pip install 'anp-twisted[{extra}]'")
    # What the URL says itself of a timeout counts.
    timeouts = {name: value for name, value in _TIMEOUTS[backend].items() if name not in url.query}
    return Store(url, timeouts)


class Source:
    """
    A registry that may not be there yet. Every method but C{close} blocks.

    @ivar url: of the database.
    """

    def __init__(self, url: str | None, state_dir: str) -> None:
        """
        @param url: the setting C{database}; C{None} is a file in the state folder, once there is one.
        @raise SettingsError: it cannot be used.
        """
        self._file = None if url else os.path.abspath(os.path.join(state_dir, REGISTRY_FILE))
        self.url = url or f"sqlite:///{self._file}"
        self._store = open_store(url) if url else None

    @property
    def absent(self) -> bool:
        """Whether there is no registry, and nothing says that there should be."""
        return self._store is None and self._file is not None and not os.path.exists(self._file)

    def store(self) -> Store:
        """
        @return: the database; one in the state folder is made where it is missing.
        @raise RegistryError: the state folder cannot be used.
        """
        if self._store is None:
            self._store = open_store(self.url)
        return self._store

    def read_after(self, version: tuple[int, ...] | None) -> Book | None:
        """
        @param version: what is known already; C{None} to read in any case.
        @return: a new book, or C{None} if nothing has changed.
        @raise RegistryError: the database cannot be used now.
        """
        if self.absent:
            return None if version == NOTHING.version else NOTHING
        store = self.store()
        if version is not None and store.version() == version:
            return None
        return Book(store.read())

    def close(self) -> None:
        """Close what is open."""
        if self._store is not None:
            self._store.close()
