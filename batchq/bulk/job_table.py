# SPDX-License-Identifier: MIT
"""The DDL of the job table."""

from __future__ import annotations

from batchq.engine.compile.quoting import derived, identifier, quoted

_DDL = """\
CREATE TABLE IF NOT EXISTS {table} (
    id uuid NOT NULL,
    task text NOT NULL,
    version int NOT NULL,
    root text NOT NULL,
    generation bigint NOT NULL,
    tables oid[] NOT NULL DEFAULT ARRAY[]::oid[],
    phase text NOT NULL DEFAULT 'active',
    stage int NOT NULL DEFAULT 0,
    cursor text[],
    cursor_key text[],
    seq bigint NOT NULL DEFAULT 0,
    rows_done bigint NOT NULL DEFAULT 0,
    scan_rows bigint NOT NULL DEFAULT 0,
    expected bigint,
    restarts int NOT NULL DEFAULT 0,
    skipped_locked boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    CONSTRAINT {pkey} PRIMARY KEY (id),
    CONSTRAINT {known} CHECK (phase IN ('active', 'done', 'stuck', 'abandoned'))
);
CREATE UNIQUE INDEX IF NOT EXISTS {unfinished} ON {table} (task, root)
    WHERE phase IN ('active', 'stuck');
"""
"""Finished jobs stay in the table. batchq does not need them: delete them when you like."""


def ddl(table: str) -> str:
    """Write the DDL of a job table."""
    return _DDL.format(
        table=quoted(table),
        pkey=identifier(derived(table, "pkey")),
        unfinished=identifier(unfinished_key(table)),
        known=identifier(derived(table, "phase_known")),
    )


def unfinished_key(table: str) -> str:
    """Return the name of the index that allows one unfinished job for each parent."""
    return derived(table, "unfinished_key")
