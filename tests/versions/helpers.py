# SPDX-License-Identifier: MIT
"""Versions 6 and 7 of a service, and the table that they share."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, StrEnum
from typing import Any

import psycopg
from psycopg import IsolationLevel

from batchq import run
from batchq.versions import Fleet

MINUTE = timedelta(minutes=1)
LEVELS = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)


class Distribution(Enum):
    """What an image is of; 7 has added the last."""

    DEBIAN = "debian"
    FREEBSD = "freebsd"


class Label(StrEnum):
    """The same as text, which JSON can hold."""

    FREEBSD = "freebsd"


SIX = Fleet(name="nexus", version=6, stamps={"rule": "row_version"})
SEVEN = Fleet(
    name="nexus",
    version=7,
    stamps={"rule": "row_version"},
    since={Distribution.FREEBSD: 7, Label.FREEBSD: 7},
)
EIGHT = Fleet(name="nexus", version=8, stamps={"rule": "row_version"})

TABLES = """
CREATE TABLE rule (id int CONSTRAINT rule_pkey PRIMARY KEY, old text, new text,
    generation int NOT NULL DEFAULT 0, deleted_at timestamptz, row_version int NOT NULL DEFAULT 0);
CREATE TABLE image (id int CONSTRAINT image_pkey PRIMARY KEY, distribution text,
    tags text[], spec jsonb)
"""

WINDOW = "SELECT oldest, newest FROM version_window"
MEMBERS = "SELECT member, version FROM version_member ORDER BY member"


def create_tables(conn: psycopg.Connection[Any]) -> None:
    for command in (*SIX.ddl(), *TABLES.split(";")):
        conn.execute(command.encode())


def expand(conn: psycopg.Connection[Any], newest: int = 7, oldest: int = 0) -> None:
    """Put the window where a test wants it."""
    run(conn, Fleet(name="nexus", version=newest).expand(newest))
    if oldest:
        run(conn, Fleet(name="nexus", version=newest).retire(below=oldest))


def prove(conn: psycopg.Connection[Any]) -> None:
    """Prove that no rule is of a version below 7."""
    for command in SEVEN.proof("rule", 7).ddl():
        conn.execute(command.encode())
