# SPDX-License-Identifier: MIT
"""In which order a stage scans its table, chosen by the planner's estimates."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.chunks.estimate import estimated, sized
from batchq.bulk.chunks.order_key import OrderKey, invalid_columns
from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import quoted
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.compose import gather
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement

HEAP_ROWS = 10_000
"""Of fewer rows the first chunks are most, and the order matters less."""
_SHARE, _SHARE_IF_ORDERED = 0.2, 0.4
"""Which part of the table's rows makes it worth reading all of them: if the key is random, and if
it follows the order of the heap. Measured: docs/adr/0039."""
_ORDERED = 0.5
"""The correlation of the heap's order with that of the key's first column, from which on the key
follows it; 1 if they are the same, 0 if it is random (PostgreSQL documentation, "pg_stats")."""
_BLOCK_HEADER, _ROW_HEADER = 24, 28
"""Bytes: of a block; and of a row, with its pointer (PostgreSQL documentation, "Database Page
Layout")."""


@frozen(kw_only=True)
class ScanOrder:
    """The order of a scan."""

    reason: str
    """Why it is chosen."""
    rows_per_block: int = 0
    """How many rows a full block of the table holds; 0 if the order is that of the key."""

    @property
    def is_heap(self) -> bool:
        """Return whether it is the order of the heap."""
        return self.rows_per_block > 0

    def __str__(self) -> str:
        """Format the order, and why."""
        return f"that of the {'heap' if self.is_heap else 'order key'}: {self.reason}"


@own
class _Table(NamedTuple):
    """What the catalog shows of a table."""

    is_heap: bool
    block_size: int
    rows_per_block: int
    """The average of all blocks when it was last analyzed."""
    correlation: float


_TABLE = """\
SELECT c.relkind = 'r' AND NOT c.relhassubclass AND m.amname = 'heap'
        AND current_setting('server_version_num')::int >= 140000
        AND current_setting('enable_tidscan', true) = 'on' AS is_heap,
    coalesce(current_setting('block_size', true)::int, 0) AS block_size,
    coalesce(ceil(c.reltuples / nullif(c.relpages, 0)), 0)::int AS rows_per_block,
    coalesce(abs(s.correlation), 1)::float8 AS correlation
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
    LEFT JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname
        AND s.attname = %(name)s AND NOT s.inherited
WHERE c.oid = pg_catalog.to_regclass(%(shown)s::text)"""
"""An ordinary table without inheriting ones, on a server that reads ranges of blocks: PostgreSQL
from version 14 (its release notes), and not CockroachDB, which reports 13. The places of rows in
partitions are not places in one heap."""


@lru_cache(maxsize=1024)
def _everything(table: str) -> Statement[None]:
    return sql_template("SELECT * FROM {table}", table=quoted(table)).fill()


def scan_order(key: OrderKey, rows: Statement[None], whose: str) -> Batch[ScanOrder]:
    """Choose the order in which rows are deleted.

    :param key: the order key. If it has a flaw, its first chunk reports it.
    :param rows: selects them.
    :param whose: which they are, for the reason: "the parent's".
    """
    table = raw_sql(_TABLE, shown=quoted(key.table), name=key.columns[0]).maybe(_Table)
    everything = sized(_everything(key.table))
    flaws = invalid_columns(key).count()

    def choose(answers: tuple[_Table | None, int, tuple[int, int], int]) -> ScanOrder:
        table, found_rows, (all_rows, width), flaws = answers
        if table is None or not table.is_heap:
            return ScanOrder(reason="this is not an ordinary table of PostgreSQL 14 or later")
        if flaws:
            return ScanOrder(reason="it has a flaw, which the first chunk reports")
        ordered = table.correlation >= _ORDERED
        least = max(HEAP_ROWS, all_rows * (_SHARE_IF_ORDERED if ordered else _SHARE))
        share = (
            f"about {found_rows:,} of the table's {all_rows:,} rows are {whose}, and the key "
            f"{'follows the order of the heap' if ordered else 'is random'}"
        )
        if found_rows < least:
            return ScanOrder(reason=share)
        fitting = (table.block_size - _BLOCK_HEADER) // (width + _ROW_HEADER)
        # The width counts no NULLs, so it may be that more fit.
        return ScanOrder(reason=share, rows_per_block=max(fitting, table.rows_per_block, 1))

    return gather(table, estimated(rows), everything, flaws).map(choose)
