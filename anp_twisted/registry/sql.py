"""
The registry in a database, with SQLAlchemy: all of it blocks, so it is called in threads only.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, create_engine, delete, func, insert, inspect, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from anp_twisted.errors import RegistryConflict, RegistryError
from anp_twisted.places import Place, parse_place
from anp_twisted.registry.rows import RouteRow, Snapshot, TokenRow, legacy_routes, read_options
from anp_twisted.registry.schema import LEGACY, METADATA, ROUTES, STATE, TOKENS

_ONE: Final = 1
"""The id of the one row of L{STATE}."""

_ATTEMPTS: Final = 5
"""To make the tables: each of them may meet one other process that makes one of them."""


def _seconds() -> int:
    return int(time.time())  # noqa: TID251 - where the time of day comes in


def place_digest(place: Place) -> str:
    """
    @return: what a place is unique by.
    """
    return hashlib.sha256(place.host + b"\0" + place.key).hexdigest()


class Store:
    """
    One database.

    Every method blocks, and raises L{RegistryError} if the database cannot be
    used now; its text is for the operator and has no password in it.
    """

    def __init__(self, url: URL, connect_args: dict[str, Any], *, now: Callable[[], int] = _seconds) -> None:
        """
        @param connect_args: for the driver, its timeouts among them.
        @param now: the time of day.
        @raise RegistryError: the driver is not installed.
        """
        self._url = url
        self._now = now
        self._engine: Engine = create_engine(url, connect_args=connect_args, pool_size=2, max_overflow=2)
        self._prepared = False
        self._legacy = False

    def close(self) -> None:
        """Close what is open."""
        self._engine.dispose()

    # --- reading --------------------------------------------------------

    def version(self) -> tuple[int, ...]:
        """
        @return: changes with each change, and costs next to nothing to ask for.
        """
        with self._begin() as connection:
            return self._version(connection)

    def read(self) -> Snapshot:
        """
        @return: everything, as it is at one moment.
        """
        now = self._now()
        with self._begin() as connection:
            version = self._version(connection)
            live = select(TOKENS).where((TOKENS.c.expires_at.is_(None)) | (TOKENS.c.expires_at > now))
            tokens = [_token(row) for row in connection.execute(live)]
            rows = connection.execute(select(ROUTES.c.identity, ROUTES.c.host, ROUTES.c.path, ROUTES.c.options))
            routes, left_out = _routes(rows)
            legacy: tuple[list[RouteRow], list[str]] = ([], [])
            if self._legacy:
                old = connection.execute(select(LEGACY.c.did, LEGACY.c.proxy_path).order_by(LEGACY.c.id))
                legacy = legacy_routes([(did, path) for did, path in old.tuples()])
        own = {row.place for row in routes}
        routes += [row for row in legacy[0] if row.place not in own]
        return Snapshot(version, tokens, routes, left_out + legacy[1])

    def _version(self, connection: Connection) -> tuple[int, ...]:
        own = connection.execute(select(STATE.c.version).where(STATE.c.id == _ONE)).scalar_one()
        if not self._legacy:
            return (own,)
        count, last, changed = connection.execute(
            select(func.count(), func.max(LEGACY.c.id), func.max(LEGACY.c.updated_at)).select_from(LEGACY)
        ).one()
        return (own, count, last or 0, changed.timestamp() if changed is not None else 0)

    # --- tokens ---------------------------------------------------------

    def list_tokens(self) -> list[TokenRow]:
        """
        @return: all tokens that are live, by identity.
        """
        return sorted(self.read().tokens, key=lambda row: (row.identity, row.created))

    def add_token(self, row: TokenRow, places: Sequence[Place] = ()) -> None:
        """
        Add the first token of an identity, and the places it gets.

        @raise RegistryConflict: it has one already, has no place, or a place belongs to another.
        """
        with self._change() as connection:
            if self._tokens_of(connection, row.identity):
                raise RegistryConflict(f"{row.identity} has a token already; rotate it, or revoke it first")
            for place in places:
                self._claim(connection, place, row.identity, None)
            if not places and not self._places_of(connection, row.identity):
                raise RegistryConflict(f"{row.identity} owns no place: say which it gets")
            connection.execute(insert(TOKENS).values(_values(row)))

    def rotate_token(self, row: TokenRow, overlap: float) -> None:
        """
        Add a token beside the one there is, which ends soon; one that was ending already ends now.

        @param overlap: for how many seconds both are live.
        @raise RegistryConflict: the identity has no token.
        """
        with self._change() as connection:
            rows = sorted(self._tokens_of(connection, row.identity), key=lambda one: one.expires_at or math.inf)
            if not rows:
                raise RegistryConflict(f"{row.identity} has no token")
            *older, last = rows
            ends = min(last.expires_at or math.inf, math.ceil(self._now() + overlap))
            connection.execute(delete(TOKENS).where(TOKENS.c.id.in_([one.id for one in older])))
            if overlap:
                connection.execute(update(TOKENS).where(TOKENS.c.id == last.id).values(expires_at=ends))
            else:
                connection.execute(delete(TOKENS).where(TOKENS.c.id == last.id))
            connection.execute(insert(TOKENS).values(_values(row)))

    def revoke(self, name: str) -> int:
        """
        Forget tokens.

        @param name: an identity, for all of its tokens, or the id of one.
        @return: how many there were.
        """
        with self._change() as connection:
            gone = connection.execute(delete(TOKENS).where((TOKENS.c.identity == name) | (TOKENS.c.id == name)))
            return int(gone.rowcount)

    def _tokens_of(self, connection: Connection, identity: str) -> list[Row[Any]]:
        """List the live tokens of an identity, and forget those that have ended."""
        connection.execute(delete(TOKENS).where(TOKENS.c.expires_at <= self._now()))
        return list(connection.execute(select(TOKENS).where(TOKENS.c.identity == identity)))

    # --- places ---------------------------------------------------------

    def put_route(self, place: Place, owner: str, options: str | None = None) -> None:
        """
        Give a place to an identity, or change the options of one it has.

        @param options: JSON that L{read_options} takes; C{None} leaves them as they are.
        @raise RegistryConflict: it belongs to another.
        """
        with self._change() as connection:
            self._claim(connection, place, owner, options)

    def drop_route(self, place: Place) -> bool:
        """
        Take a place away from whoever has it.

        @return: whether somebody had it.
        """
        with self._change() as connection:
            gone = connection.execute(delete(ROUTES).where(ROUTES.c.digest == place_digest(place)))
            return bool(gone.rowcount)

    def list_routes(self) -> list[tuple[RouteRow, str]]:
        """
        @return: all places in order, with their options as JSON, those of C{did_proxy_path} included.
        """
        with self._begin() as connection:
            texts = {row.digest: row.options for row in connection.execute(select(ROUTES.c.digest, ROUTES.c.options))}
        return sorted(
            ((row, texts.get(place_digest(row.place), "")) for row in self.read().routes),
            key=lambda pair: pair[0].place,
        )

    def _claim(self, connection: Connection, place: Place, owner: str, options: str | None) -> None:
        digest = place_digest(place)
        row = connection.execute(select(ROUTES.c.identity).where(ROUTES.c.digest == digest)).one_or_none()
        if row is not None and row.identity != owner:
            raise RegistryConflict(f"{place} belongs to {row.identity}; take it away first")
        now = self._now()
        if row is None:
            host, path = place.host.decode("ascii"), place.key.decode("ascii") or "/"
            values = {"digest": digest, "identity": owner, "host": host, "path": path, "options": options or ""}
            connection.execute(insert(ROUTES).values(**values, created_at=now, updated_at=now))
        elif options is not None:
            connection.execute(update(ROUTES).where(ROUTES.c.digest == digest).values(options=options, updated_at=now))

    def _places_of(self, connection: Connection, identity: str) -> bool:
        own = select(ROUTES.c.digest).where(ROUTES.c.identity == identity).limit(1)
        if connection.execute(own).first() is not None:
            return True
        old = select(LEGACY.c.id).where(LEGACY.c.did == identity).limit(1)
        return self._legacy and connection.execute(old).first() is not None

    # --- transactions ---------------------------------------------------

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        """One transaction; what goes wrong in it becomes L{RegistryError}."""
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise RegistryConflict("another process changed the same thing at the same time; try again") from None
        except (SQLAlchemyError, OSError) as error:
            # The text of the error has statements and values in it; its class says enough.
            cause = getattr(error, "orig", None) or error
            raise RegistryError(f"the database {self.name} cannot be used: {type(cause).__name__}") from None

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """One transaction that changes something."""
        with self._begin() as connection:
            # First, so that changes come one after the other.
            connection.execute(update(STATE).where(STATE.c.id == _ONE).values(version=STATE.c.version + 1))
            yield connection

    def _prepare(self) -> None:
        """Make the tables that are missing."""
        if self._prepared:
            return
        path = self._url.database
        if self._url.get_backend_name() == "sqlite" and path:
            # SQLite would make it readable for everybody.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for left in reversed(range(_ATTEMPTS)):
            try:
                self._make_tables()
                break
            except (IntegrityError, OperationalError, ProgrammingError):
                # Another process makes them at the same moment, and no database has one way to say so.
                if not left:
                    raise
        self._prepared = True

    def _make_tables(self) -> None:
        """Make what is missing."""
        with self._engine.begin() as connection:
            METADATA.create_all(connection)
            self._legacy = inspect(connection).has_table(LEGACY.name)
        with self._engine.begin() as connection:
            if connection.execute(select(STATE.c.version)).first() is None:
                connection.execute(insert(STATE).values(id=_ONE, version=1))

    @property
    def name(self) -> str:
        """Which database it is, without a password."""
        return self._url.render_as_string(hide_password=True)


def _values(row: TokenRow) -> dict[str, Any]:
    expires = None if math.isinf(row.expires) else math.ceil(row.expires)
    return {
        "id": row.id,
        "identity": row.identity,
        "digest": row.digest,
        "created_at": int(row.created),
        "expires_at": expires,
    }


def _token(row: Row[Any]) -> TokenRow:
    expires = math.inf if row.expires_at is None else row.expires_at
    return TokenRow(row.id, row.identity, row.digest, row.created_at, expires)


def _routes(rows: Iterable[Any]) -> tuple[list[RouteRow], list[str]]:
    """Read rows of L{ROUTES}; one that cannot be read is left out, and its place stays nobody's."""
    routes: list[RouteRow] = []
    left_out: list[str] = []
    for owner, host, path, options in rows:
        try:
            routes.append(RouteRow(parse_place(host + path), owner, read_options(options) if options else None))
        except ValueError as error:
            left_out.append(f"the route {host + path!r} of {owner!r}: {error}")
    return routes, left_out
