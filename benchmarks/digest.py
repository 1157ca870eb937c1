# SPDX-License-Identifier: MIT
"""What is in all tables, in a form in which it is the same whoever has written it.

Ids are random and times are now, so neither can be compared. But which row refers to which can: an
id stands for the row that has it, with the ids in that standing for rows, and so on. A time is only
looked at for whether there is one.
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
"""As far as what a row refers to is followed: rule, VPC, project, silo."""


def digest(conninfo: str) -> dict[str, tuple[int, str]]:
    """Each table's number of rows, and one hash of all of them."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        tables = {
            table: conn.execute(SQL("TABLE {}").format(Identifier(table))).fetchall()
            for table in TABLES
        }
    meant: Mapping[UUID, str] = {}
    for _ in range(_DEPTH):
        rows_of: dict[UUID, list[str]] = defaultdict(list)
        for table, rows in tables.items():
            for row in rows:
                rows_of[row[0]].append(f"{table} {_words(row, meant)}")
        meant = {key: _hash(sorted(said)) for key, said in rows_of.items()}
    return {
        table: (len(rows), _hash(sorted(_words(row, meant) for row in rows)))
        for table, rows in tables.items()
    }


def _words(row: tuple[Any, ...], meant: Mapping[UUID, str]) -> str:
    return repr([_word(value, meant) for value in row])


def _word(value: object, meant: Mapping[UUID, str]) -> object:
    if isinstance(value, UUID):
        return meant.get(value, "an id")
    return "a time" if isinstance(value, datetime) else value


def _hash(words: list[str]) -> str:
    return sha256("\n".join(words).encode()).hexdigest()[:16]
