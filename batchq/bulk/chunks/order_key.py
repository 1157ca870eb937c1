# SPDX-License-Identifier: MIT
"""Order keys: which columns can be one, and how to find those that cannot.

A chunk starts after the last row of the chunk before: ``(a, b) > ('…', '…')``. Such a scan visits
each row once only if a value can be compared with its own text. So there must be a value (no NULL),
its text must be read back as that value under any session's settings, and an update must not change
it. The preflight rejects other columns before the start, and the first chunk of a stage rejects
them in its own statement, in the same words.
"""

from __future__ import annotations

from typing import NamedTuple

from attrs import frozen

from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement


@frozen
class OrderKey:
    """The columns in whose order a table is scanned."""

    table: str
    columns: tuple[str, ...]
    parent_column: str | None = None
    """The one that is compared with a parent's key, and so is never NULL in a row that is found."""

    def __str__(self) -> str:
        """Format it as in CREATE INDEX."""
        return f"{self.table} ({', '.join(self.columns)})"

    def describe_flaw(self, flaw: str) -> str:
        """Describe what a chunk has returned as :attr:`Chunk.flaw`: ``flaw:column:type``."""
        word, _, rest = flaw.partition(":")
        number, _, type_ = rest.partition(":")
        detail = FLAWS[word].format(type_)
        return self.describe(self.columns[int(number)], detail) if number else f"{self}: {detail}"

    def describe(self, name: str, detail: str) -> str:
        """Format what is wrong with one of the columns."""
        return f"{self.table}.{name}: {detail}"

    def from_cursor_key(self, cursor_key: list[str]) -> OrderKey:
        """Return the order key that a job's cursor belongs to."""
        table, *rest = cursor_key
        return OrderKey(table, tuple(rest[: len(rest) // 2]), self.parent_column)

    @property
    def names(self) -> list[str]:
        """Return the table and the columns, as they begin a job's ``cursor_key``."""
        return [self.table, *self.columns]


@own
class InvalidColumn(NamedTuple):
    """A column that cannot be part of an order key."""

    n: int
    name: str
    flaw: str
    type: str

    @property
    def detail(self) -> str:
        """Describe what is wrong with it."""
        return FLAWS[self.flaw].format(self.type)


NULLS, MOVED, OTHER = "nulls", "moved", "other"
FLAWS = {
    NULLS: "it is part of the order key and may be NULL",
    "system": "it is part of the order key and a system column, which an update changes",
    "row": "it is part of the order key and of type {}: a row value has no text to compare with",
    "settings": "it is part of the order key and of type {}, whose text depends on settings",
    MOVED: "it is the order key, and an update moves rows ahead in it, where they are found again",
    OTHER: "it is the order key, and its columns had other types when the cursor was saved",
}
"""What is wrong with a column, by the word that the SQL returns."""

_INVALID = """\
SELECT n, name, flaw, type FROM (
    SELECT array_position(%(names)s::text[], a.attname::text) - 1 AS n, a.attname::text AS name,
        a.atttypid::regtype::text AS type, CASE
        WHEN a.attnum < 0 THEN 'system'
        WHEN t.typcategory = 'C' THEN 'row'
        WHEN t.typoutput IN ({outputs}) OR t.typelem IN ({types}) THEN 'settings'
        WHEN a.attname <> ALL(%(parent_column)s::text[]) AND (NOT a.attnotnull{parts}) THEN 'nulls'
    END AS flaw
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = pg_catalog.to_regclass(%(shown)s::text) AND NOT a.attisdropped
        AND a.attname = ANY(%(names)s::text[])
) AS found WHERE flaw IS NOT NULL"""
"""Types without an order are not looked for: the server rejects the statements. The output of an
extension's type is trusted, as pg_dump trusts it. A domain has its type's category and output."""
OUTPUTS = {
    790: 887, 24: 45, 2202: 2213, 2203: 2215, 2204: 2217, 2205: 2219, 2206: 2221, 4096: 4092,
    4089: 4085, 3734: 3737, 3769: 3772, 4191: 4194,
}  # fmt: skip
"""``money`` and the ``reg…`` types, each with its output function: their texts depend on settings.
Given by OID, which never changes: looking up the names would take half of the query's time
(PostgreSQL sources, pg_type.dat and pg_proc.dat)."""
_PARTS = """ OR a.attname IN (
            WITH RECURSIVE parts(oid) AS (
                SELECT pg_catalog.to_regclass(%(shown)s::text)::oid
                UNION
                SELECT i.inhrelid FROM parts
                    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = parts.oid
            )
            SELECT b.attname FROM parts JOIN pg_catalog.pg_class AS c ON c.oid = parts.oid
                JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.oid AND NOT b.attisdropped
            WHERE b.attname = ANY(%(names)s::text[]) AND (
                c.relkind = 'f' OR NOT b.attnotnull OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_constraint AS k
                    WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
                        AND k.conkey = ARRAY[b.attnum]
                )
            )
        )"""
"""Check NOT NULL of all partitions and inheriting tables: a foreign table does not enforce it, and
since PostgreSQL 18 it may be NOT VALID. This takes ten times as long, so only the preflight and the
end of a backfill do it; a chunk rejects a page that has a NULL in its key. The subquery is not
correlated: CockroachDB allows no WITH in a correlated one."""
_FLAW = "coalesce({nulls}, {in_key}{moved})"
_FIRST = """\
(SELECT first.flaw || ':' || first.n::text || ':' || first.type FROM ({rows} LIMIT 1) AS first)"""
_SIGNATURE = "%(signature)s::text[] || ARRAY[{types}]"
_TYPE = "pg_typeof((SELECT {key} FROM batchq_last))::regtype::oid::text"
_NULLS = "(SELECT {flaw} FROM batchq_page WHERE {null} LIMIT 1)"
_OTHER = "CASE WHEN %(cursor_key)s::text[] <> {key} THEN 'other' END"
_MOVED = ", (SELECT 'moved' FROM batchq_changed WHERE moved LIMIT 1)"


def invalid_columns(key: OrderKey) -> Statement[None]:
    """Select the columns that cannot be part of an order key, as :class:`InvalidColumn`."""
    return _invalid(_PARTS).fill(**catalog_names(key))


def catalog_names(key: OrderKey) -> dict[str, object]:
    """Return the values by which the catalog is asked about an order key."""
    parent = [] if key.parent_column is None else [key.parent_column]
    return {"names": list(key.columns), "parent_column": parent, "shown": quoted(key.table)}


def signature(key: OrderKey) -> SqlTemplate:
    """Write the expression for a job's ``cursor_key``: the table, the columns and their types."""
    types = ", ".join(_TYPE.format(key=identifier(name)) for name in key.columns)
    return sql_template(_SIGNATURE, types=types)


def flaw_in_chunk(key: OrderKey, *, first: bool, in_place: bool) -> SqlTemplate:
    """Write the expression for what is wrong with an order key in a chunk; NULL if nothing is.

    :param first: whether the chunk is the first of its stage, and so asks the catalog by
        :func:`catalog_names`; a later one compares with the ``cursor_key`` of the job.
    :param in_place: whether rows may be after the page once they are updated.
    """
    is_null = [f"{identifier(name)} IS NULL" for name in key.columns]
    cases = " ".join(f"WHEN {test} THEN 'nulls:{n}'" for n, test in enumerate(is_null))
    return sql_template(
        _FLAW,
        nulls=_NULLS.format(flaw=f"CASE {cases} END", null=" OR ".join(is_null)),
        in_key=sql_template(_FIRST, rows=_invalid(""))
        if first
        else sql_template(_OTHER, key=signature(key)),
        moved=_MOVED if in_place else "",
    )


def _invalid(parts: str) -> SqlTemplate:
    types, outputs = (", ".join(map(str, oids)) for oids in (OUTPUTS, OUTPUTS.values()))
    return sql_template(_INVALID, parts=sql_template(parts), types=types, outputs=outputs)
