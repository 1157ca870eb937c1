# SPDX-License-Identifier: MIT
"""The table of jobs: its columns, and what its constraints are called."""

from __future__ import annotations

from batchq.engine.compile.quoting import derived, identifier, quoted

_DDL = """\
CREATE TABLE IF NOT EXISTS {table} (
    id uuid NOT NULL,
    tree text NOT NULL,
    version int NOT NULL,
    root text NOT NULL,
    generation bigint NOT NULL,
    tables oid[] NOT NULL DEFAULT ARRAY[]::oid[],
    phase text NOT NULL DEFAULT 'drain',
    child int NOT NULL DEFAULT 0,
    cursor text[],
    cursor_of text[],
    seq bigint NOT NULL DEFAULT 0,
    rows_done bigint NOT NULL DEFAULT 0,
    rows_pass bigint NOT NULL DEFAULT 0,
    expected bigint,
    passes int NOT NULL DEFAULT 0,
    passed_over boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    CONSTRAINT {pkey} PRIMARY KEY (id),
    CONSTRAINT {known} CHECK (phase IN ('drain', 'done', 'stuck', 'abandoned'))
);
CREATE UNIQUE INDEX IF NOT EXISTS {once} ON {table} (tree, root) WHERE phase IN ('drain', 'stuck');
"""
"""Ended jobs stay, to be looked at and deleted by whoever wants to: nothing here needs them."""


def ddl(table: str) -> str:
    """Write the DDL of a table of jobs."""
    return _DDL.format(
        table=quoted(table),
        pkey=identifier(derived(table, "pkey")),
        once=identifier(once(table)),
        known=identifier(derived(table, "phase_known")),
    )


def once(table: str) -> str:
    """The name of the index that keeps a second job of one parent out."""
    return derived(table, "unfinished_key")
