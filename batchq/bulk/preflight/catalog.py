# SPDX-License-Identifier: MIT
"""What the server's catalog says of the tables of a tree: all of it read in one round trip.

Source: PostgreSQL documentation, "System Catalogs"; of CockroachDB, which was not run here, its
``pg_catalog.go``. What it lacks is not asked for: it has no operator classes, no array slices, no
``row_security_active()``, and says of no index that it is ready.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.chunks.order_key import InvalidColumn, OrderKey, unfit
from batchq.bulk.jobs import Jobs
from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import quoted
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.compose import into, sequence
from batchq.language.statement import Statement


@own
class Relation(NamedTuple):
    """What stands behind a table's name."""

    name: str
    """As the tree says it."""
    oid: int
    kind: str
    """``pg_class.relkind``: ``r`` of a table, ``p`` of a partitioned one."""


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
    """As SQL, quoted where it has to be."""
    method: str
    """``btree``, and on CockroachDB ``prefix``, have an order."""
    unique: bool
    valid: bool
    columns: list[str | None]
    """Its key, without what is only included; None for an expression."""
    options: list[int]
    """Of each: 1 for descending, and 2 for NULLs first."""
    usual: list[bool]
    """Of each: whether operator class and collation are those that the column has by itself."""
    predicate: str | None


@own
class ForeignKey(NamedTuple):
    """A foreign key onto one of the tables."""

    onto: str
    referred: list[str]
    name: str
    oid: int
    """Of the table that refers."""
    table: str
    columns: list[str]
    action: str
    """``pg_constraint.confdeltype``."""
    indexed: bool
    """Whether the rows that refer to one row are found by an index."""


@own
class Trigger(NamedTuple):
    """A trigger that is fired for every row that is deleted, or updated."""

    table: str
    name: str
    deletes: bool
    updates: bool


@own
class Rule(NamedTuple):
    """A rule that says what is done in the place of a command, or besides."""

    table: str
    name: str
    event: str
    """``pg_rewrite.ev_type``: ``2`` for UPDATE, ``4`` for DELETE."""


@own
class RowSecurity(NamedTuple):
    """A table of which policies may hide rows from this role."""

    table: str


@own
class JobColumn(NamedTuple):
    """A column that the table of jobs has not, or not with this type."""

    name: str
    type: str
    there: bool
    definition: str


@frozen(kw_only=True)
class Catalog:
    """What was read. A table that there is none of has nothing in it."""

    relations: list[Relation]
    columns: list[Column]
    indexes: list[Index]
    references: list[ForeignKey]
    triggers: list[Trigger]
    rules: list[Rule]
    lacking: list[JobColumn]
    veiled: list[RowSecurity]
    unfit: dict[OrderKey, list[InvalidColumn]]
    """What cannot be part of each order key."""

    def relation(self, table: str) -> Relation | None:
        """What stands behind a name."""
        return next((one for one in self.relations if one.name == table), None)

    def column(self, table: str, name: str) -> Column | None:
        """A column of a table."""
        return next((one for one in self.columns if one[:2] == (table, name)), None)

    def indexes_of(self, table: str) -> list[Index]:
        """A table's indexes."""
        return [one for one in self.indexes if one.table == table]


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
FROM {named} JOIN pg_catalog.pg_attribute AS a ON a.attrelid = named.oid
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped"""

_INDEXES = """\
SELECT named.name AS table, i.indexrelid::regclass::text AS name, m.amname::text AS method,
    i.indisunique AS unique, i.indisvalid AS valid, key.columns, key.options,
    key.usual, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate
FROM {named} JOIN pg_catalog.pg_index AS i ON i.indrelid = named.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.attname::text ORDER BY n), ARRAY[]::text[]) AS columns,
            coalesce(array_agg(i.indoption[n]::int ORDER BY n), ARRAY[]::int[]) AS options,
            coalesce(array_agg(coalesce(
                coalesce(o.opcdefault, true) AND i.indcollation[n] = a.attcollation, false
            ) ORDER BY n), ARRAY[]::bool[]) AS usual
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
"""A row that refers has no NULL in its key, so an index without the NULLs finds it as well. Those
of a partition are its table's."""

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

_VEILED = """\
SELECT named.name AS table FROM {named} JOIN pg_catalog.pg_class AS c ON c.oid = named.oid
    JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
WHERE c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))
ORDER BY named.name"""
"""What ``row_security_active()`` says, which CockroachDB has not (PostgreSQL sources, rls.c)."""

_LACKING = """\
SELECT wanted.name, wanted.type, a.attnum IS NOT NULL AS there, wanted.definition
FROM unnest(%(names)s::text[], %(types)s::text[], %(definitions)s::text[])
        AS wanted(name, type, definition)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = pg_catalog.to_regclass(%(table)s::text)
        AND a.attname = wanted.name AND NOT a.attisdropped
WHERE a.attnum IS NULL OR a.atttypid IS DISTINCT FROM pg_catalog.to_regtype(wanted.type)"""

_DEFINED = re.compile(r"^    ([a-z_]+) ([a-z]+(?:\[\])?)(.*),$", re.MULTILINE)


def catalog(tables: Iterable[str], keys: Iterable[OrderKey], jobs: Jobs) -> Batch[Catalog]:
    """Read what the catalog says of tables, and of the table of jobs.

    :param tables: as a tree names them: ``"rule"`` or ``"net.rule"``.
    :param keys: by which they are swept.
    """
    judged = tuple(dict.fromkeys(keys))
    named = tuple(dict.fromkeys((*tables, jobs.table)))

    def ask(text: str) -> Statement[None]:
        return raw_sql(text.format(named=_NAMED), names=list(named), shown=list(map(quoted, named)))

    return into(
        Catalog,
        relations=ask(_RELATIONS).all(Relation),
        columns=ask(_COLUMNS).all(Column),
        indexes=ask(_INDEXES).all(Index),
        references=ask(_REFERENCES).all(ForeignKey),
        triggers=ask(_TRIGGERS).all(Trigger),
        rules=ask(_RULES).all(Rule),
        lacking=_lacking(jobs).all(JobColumn),
        veiled=ask(_VEILED).all(RowSecurity),
        unfit=sequence([unfit(key).all(InvalidColumn) for key in judged]).map(
            lambda found: dict(zip(judged, found, strict=True))
        ),
    )


def _lacking(jobs: Jobs) -> Statement[None]:
    """Compare with the library's own DDL, which is where the columns are said."""
    found: Sequence[tuple[str, str, str]] = _DEFINED.findall(Jobs().ddl())
    names, types, rest = (list(part) for part in zip(*found, strict=True))
    table, definitions = quoted(jobs.table), list(map(str.__add__, types, rest))
    return raw_sql(_LACKING, names=names, types=types, definitions=definitions, table=table)
