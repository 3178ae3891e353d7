"""
The tables of the registry.

Times are seconds since the epoch, so that no time zone of a server or a driver
can change them. A place is unique by its digest: a host and a path together are
longer than what MariaDB indexes, and it would take C{/A} for C{/a}.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table, Text

_EXACT: Final[dict[str, Any]] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}

METADATA: Final = MetaData()

STATE: Final = Table(
    "anp_registry",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    **_EXACT,
)
"""One row: the number of the last change."""

TOKENS: Final = Table(
    "anp_tokens",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("identity", String(255), nullable=False, index=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=True),
    **_EXACT,
)
"""Tokens, as their digests. One that is revoked is gone."""

ROUTES: Final = Table(
    "anp_routes",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("identity", String(255), nullable=False, index=True),
    Column("host", String(255), nullable=False),
    Column("path", String(512), nullable=False),
    Column("options", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    **_EXACT,
)
"""Places and whose they are."""

LEGACY: Final = Table(
    "did_proxy_path",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("did", String(255)),
    Column("proxy_path", String(512)),
    Column("created_at", DateTime),
    Column("updated_at", DateTime),
)
"""The table of existing deployments; it is read, and never made or changed."""
