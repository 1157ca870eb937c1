# SPDX-License-Identifier: MIT
"""Digest all tables so that the same work has the same digest, whichever peer has done it.

Ids are random and times are now, so neither can be compared. The rows that refer to each other can:
an id stands for the row that has it, in which ids again stand for rows, and so on. Of a time only
its presence counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from examples.datastore.schema import TABLES

_DEPTH = 4
"""How far a row's references are followed: rule, VPC, project, silo."""


def digest(conninfo: str) -> dict[str, tuple[int, str]]:
    """Return each table's number of rows, and one hash of all of them."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        tables = {
            table: conn.execute(SQL("TABLE {}").format(Identifier(table))).fetchall()
            for table in TABLES
        }
    rows_by_id: Mapping[UUID, str] = {}
    for _ in range(_DEPTH):
        found: dict[UUID, list[str]] = defaultdict(list)
        for table, rows in tables.items():
            for row in rows:
                found[row[0]].append(f"{table} {_text(row, rows_by_id)}")
        rows_by_id = {key: _hash(sorted(texts)) for key, texts in found.items()}
    return {
        table: (len(rows), _hash(sorted(_text(row, rows_by_id) for row in rows)))
        for table, rows in tables.items()
    }


def _text(row: tuple[Any, ...], rows_by_id: Mapping[UUID, str]) -> str:
    return repr([_value(value, rows_by_id) for value in row])


def _value(value: object, rows_by_id: Mapping[UUID, str]) -> object:
    if isinstance(value, UUID):
        return rows_by_id.get(value, "an id")
    return "a time" if isinstance(value, datetime) else value


def _hash(texts: list[str]) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:16]
