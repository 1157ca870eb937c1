# SPDX-License-Identifier: MIT
"""Create databases with other encodings than UTF8."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import psycopg
from psycopg.conninfo import make_conninfo

from batchq.testing.databases import Database

ENCODINGS = ["SQL_ASCII", "LATIN1", "UTF8"]


@contextmanager
def database_in(database: Database, encoding: str) -> Iterator[str]:
    """Create a database in an encoding, and yield its conninfo; drop it at the end."""
    name = f"encoded_{token_hex(6)}"
    with psycopg.connect(database.conninfo(), autocommit=True) as admin:
        made = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        admin.execute(f"CREATE DATABASE {name} {made}")  # type: ignore[arg-type]
        try:
            yield make_conninfo(database.conninfo(tcp=True), dbname=name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
