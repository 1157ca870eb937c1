# SPDX-License-Identifier: MIT
"""The demo's database: an embedded server, or a schema on the server at DATABASE_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from batchq.testing import server
from examples.datastore.schema import TABLES, create_tables


@contextmanager
def demo_database() -> Iterator[tuple[str, str]]:
    """Create the example's tables; yield the conninfo and a description of the server."""
    if url := os.environ.get("DATABASE_URL"):
        with _schema_of_its_own(url) as conninfo:
            yield conninfo, "the server at DATABASE_URL, in a schema of the demo's own"
        return
    with server(settings={"synchronous_commit": "off"}) as postgres:
        with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
            create_tables(conn)
        yield postgres.conninfo(), "an embedded PostgreSQL that is deleted after the demo"


@contextmanager
def _schema_of_its_own(url: str) -> Iterator[str]:
    name = f"batchq_demo_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as admin:
        # Fill in libpq's defaults: the demo's proxy needs the server's address.
        host = admin.info.hostaddr or admin.info.host
        given = conninfo_to_dict(url).get("options")
        options = f"{given or ''} -csearch_path={name}".strip()
        conninfo = make_conninfo(url, host=host, port=admin.info.port, options=options)
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(conninfo, autocommit=True) as conn:
                create_tables(conn)
            yield conninfo
        finally:
            admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def row_count(conn: psycopg.Connection[Any]) -> int:
    """Return the number of rows in all tables."""
    tables = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier(table)) for table in TABLES
    )
    row = conn.execute(sql.SQL("SELECT sum(n)::int FROM ({}) AS counts").format(tables)).fetchone()
    return int(row[0]) if row else 0
