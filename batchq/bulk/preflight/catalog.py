# SPDX-License-Identifier: MIT
"""Read the catalog about the tables of a task, in one round trip.

Source: PostgreSQL documentation, "System Catalogs"; and CockroachDB's ``pg_catalog.go``, which was
not tested. What CockroachDB lacks is not read: operator classes, array slices,
``row_security_active()``, and ``indisready``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.chunks.order_key import InvalidColumn, OrderKey, invalid_columns
from batchq.bulk.jobs import Jobs
from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import quoted
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.compose import into, sequence
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement


@own
class Relation(NamedTuple):
    """What a table's name resolves to."""

    name: str
    """As the task has it."""
    oid: int
    kind: str
    """``pg_class.relkind``: ``r`` for a table, ``p`` for a partitioned one."""

    @property
    def is_table(self) -> bool:
        """Whether it is a table, partitioned or not."""
        return self.kind in ("r", "p")


@own
class Column(NamedTuple):
    """A column."""

    table: str
    name: str
    nullable: bool
    numeric: bool
    type: str


@own
class Index(NamedTuple):
    """An index."""

    table: str
    name: str
    """As SQL, quoted if necessary."""
    method: str
    """Only ``btree``, and CockroachDB's ``prefix``, have an order."""
    unique: bool
    valid: bool
    columns: list[str | None]
    """Its key columns, without INCLUDE; None for an expression."""
    options: list[int]
    """For each: 1 if descending, plus 2 if NULLs come first."""
    default: list[bool]
    """For each: whether it has the column's default operator class and collation."""
    predicate: str | None


@own
class ForeignKey(NamedTuple):
    """A foreign key that refers to one of the tables."""

    onto: str
    referred: list[str]
    name: str
    oid: int
    """The OID of the table that refers."""
    table: str
    columns: list[str]
    action: str
    """``pg_constraint.confdeltype``."""
    indexed: bool
    """Whether an index finds the rows that refer to one row."""


@own
class Trigger(NamedTuple):
    """A trigger that is fired for each row that is deleted or updated."""

    table: str
    name: str
    deletes: bool
    updates: bool


@own
class Rule(NamedTuple):
    """A rule that replaces a command or adds another."""

    table: str
    name: str
    event: str
    """``pg_rewrite.ev_type``: ``2`` for UPDATE, ``4`` for DELETE."""


@own
class RowSecurity(NamedTuple):
    """A table whose policies may hide rows from this role."""

    table: str


@own
class JobColumn(NamedTuple):
    """A column that the job table lacks, or has with another type."""

    name: str
    type: str
    exists: bool
    definition: str


@frozen(kw_only=True)
class Catalog:
    """What was read. There is nothing about a table that does not exist, and no column of what is
    not a table: no DDL for one would work."""

    relations: list[Relation]
    columns: list[Column]
    indexes: list[Index]
    references: list[ForeignKey]
    triggers: list[Trigger]
    rules: list[Rule]
    job_columns: list[JobColumn]
    row_security: list[RowSecurity]
    invalid_columns: dict[OrderKey, list[InvalidColumn]]
    """For each order key, the columns that cannot be part of it."""

    def relation(self, table: str) -> Relation | None:
        """Return what a table's name resolves to."""
        return next((found for found in self.relations if found.name == table), None)

    def column(self, table: str, name: str) -> Column | None:
        """Return a column of a table."""
        return next((found for found in self.columns if found[:2] == (table, name)), None)

    def indexes_of(self, table: str) -> list[Index]:
        """Return a table's indexes."""
        return [index for index in self.indexes if index.table == table]


_NAMED = """\
(SELECT name, pg_catalog.to_regclass(shown) AS oid
    FROM unnest(%(names)s::text[], %(shown)s::text[]) AS named(name, shown)) AS named"""

_RELATIONS = """\
SELECT named.name, c.oid, c.relkind::text AS kind
FROM {named} JOIN pg_catalog.pg_class AS c ON c.oid = named.oid"""

_COLUMNS = """\
SELECT named.name AS table, a.attname::text AS name, NOT a.attnotnull AS nullable,
    t.typcategory = 'N' AS numeric,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
FROM {named} JOIN pg_catalog.pg_class AS c ON c.oid = named.oid AND c.relkind::text IN ('r', 'p')
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped"""

_INDEXES = """\
SELECT named.name AS table, i.indexrelid::regclass::text AS name, m.amname::text AS method,
    i.indisunique AS unique, i.indisvalid AS valid, key.columns, key.options,
    key."default", pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate
FROM {named} JOIN pg_catalog.pg_index AS i ON i.indrelid = named.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.attname::text ORDER BY n), ARRAY[]::text[]) AS columns,
            coalesce(array_agg(i.indoption[n]::int ORDER BY n), ARRAY[]::int[]) AS options,
            coalesce(array_agg(coalesce(
                coalesce(o.opcdefault, true) AND i.indcollation[n] = a.attcollation, false
            ) ORDER BY n), ARRAY[]::bool[]) AS "default"
        FROM generate_series(0, i.indnkeyatts - 1) AS n
            LEFT JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[n]
            LEFT JOIN pg_catalog.pg_attribute AS a
                ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n]
    ) AS key
ORDER BY named.name, c.relname"""

_REFERENCES = """\
SELECT named.name AS onto, key.referred, k.conname::text AS name, k.conrelid AS oid,
    CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN '' ELSE s.nspname || '.' END || c.relname
        AS table, key.columns, k.confdeltype::text AS action, EXISTS (
        SELECT 1 FROM pg_catalog.pg_index AS i WHERE i.indrelid = k.conrelid AND i.indisvalid
            AND NOT EXISTS (
                SELECT 1 FROM generate_series(0, array_length(k.conkey, 1) - 1) AS n
                WHERE i.indkey[n] IS NULL OR i.indkey[n] <> ALL(k.conkey)
            )
            AND coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid) = key.there, true)
    ) AS indexed
FROM {named} JOIN pg_catalog.pg_constraint AS k ON k.confrelid = named.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY n) AS columns,
            array_agg(b.attname::text ORDER BY n) AS referred,
            string_agg(pg_catalog.format('(%%I IS NOT NULL)', a.attname), ' AND ') AS there
        FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair(own, other, n)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = pair.own
            JOIN pg_catalog.pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = pair.other
    ) AS key
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY named.name, c.relname, k.conname"""
"""A partial index without NULLs counts as well, because a row that refers has no NULL in its key.
The foreign keys of a partition are listed with its table."""

_TRIGGERS = """\
SELECT named.name AS table, t.tgname::text AS name,
    (t.tgtype & 8) = 8 AS deletes, (t.tgtype & 16) = 16 AS updates
FROM {named} JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = named.oid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 1) = 1
ORDER BY named.name, t.tgname"""
"""1: for each row; 8: DELETE; 16: UPDATE (PostgreSQL sources, pg_trigger.h)."""

_RULES = """\
SELECT named.name AS table, r.rulename::text AS name, r.ev_type::text AS event
FROM {named} JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = named.oid
WHERE r.ev_type::text IN ('2', '4') AND r.ev_enabled::text <> 'D'
ORDER BY named.name, r.rulename"""

_ROW_SECURITY = """\
SELECT named.name AS table FROM {named} JOIN pg_catalog.pg_class AS c ON c.oid = named.oid
    JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
WHERE c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))
ORDER BY named.name"""
"""As ``row_security_active()``, which CockroachDB lacks (PostgreSQL sources, rls.c)."""

_JOB_COLUMNS = """\
SELECT wanted.name, wanted.type, a.attnum IS NOT NULL AS "exists", wanted.definition
FROM unnest(%(names)s::text[], %(types)s::text[], %(definitions)s::text[])
        AS wanted(name, type, definition)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = pg_catalog.to_regclass(%(table)s::text)
        AND a.attname = wanted.name AND NOT a.attisdropped
WHERE a.attnum IS NULL OR a.atttypid IS DISTINCT FROM pg_catalog.to_regtype(wanted.type)"""

_COLUMN = re.compile(r"^    ([a-z_]+) ([a-z]+(?:\[\])?)(.*),$", re.MULTILINE)


def catalog(tables: Iterable[str], keys: Iterable[OrderKey], jobs: Jobs) -> Batch[Catalog]:
    """Read the catalog about tables, and about the job table.

    :param tables: as a task names them: ``"rule"`` or ``"net.rule"``.
    :param keys: the order keys of its stages.
    """
    order_keys = tuple(dict.fromkeys(keys))
    names = tuple(dict.fromkeys((*tables, jobs.table)))

    def query(text: str) -> Statement[None]:
        template = sql_template(text, named=sql_template(_NAMED))
        return template.fill(names=list(names), shown=list(map(quoted, names)))

    return into(
        Catalog,
        relations=query(_RELATIONS).all(Relation),
        columns=query(_COLUMNS).all(Column),
        indexes=query(_INDEXES).all(Index),
        references=query(_REFERENCES).all(ForeignKey),
        triggers=query(_TRIGGERS).all(Trigger),
        rules=query(_RULES).all(Rule),
        job_columns=_job_columns(jobs).all(JobColumn),
        row_security=query(_ROW_SECURITY).all(RowSecurity),
        invalid_columns=sequence(
            [invalid_columns(key).all(InvalidColumn) for key in order_keys]
        ).map(lambda found: dict(zip(order_keys, found, strict=True))),
    )


def _job_columns(jobs: Jobs) -> Statement[None]:
    """Compare the job table with the library's own DDL."""
    wanted: Sequence[tuple[str, str, str]] = _COLUMN.findall(Jobs().ddl())
    names, types, rest = (list(part) for part in zip(*wanted, strict=True))
    table, definitions = quoted(jobs.table), list(map(str.__add__, types, rest))
    return raw_sql(_JOB_COLUMNS, names=names, types=types, definitions=definitions, table=table)
