# SPDX-License-Identifier: MIT
"""Order keys: what can be one, and what a place in the order is written down as.

A chunk begins behind the last row of the one before: ``(a, b) > ('…', '…')``. That meets every row
once only if each value can be compared with its own text: there is one (no NULL), the text leads
back to it whatever a session's settings are, and it is not the row's own doing that changes it.
What is not so is refused by ``plan`` before, and by the chunk that begins a pass in its own
statement, in the same words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.chunks.subquery import column
from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import quoted
from batchq.language.builders import raw_sql
from batchq.language.statement import Statement


@frozen
class OrderKey:
    """The columns by which the rows of a table are swept."""

    table: str
    columns: tuple[str, ...]
    given: str | None = None
    """The one that is compared with a parent's key, and so never NULL in a row that is found."""

    def __str__(self) -> str:
        """Show it as an index of it would be written."""
        return f"{self.table} ({', '.join(self.columns)})"

    def told(self, unfit: str) -> str:
        """Say in words what the server has answered of a chunk: a flaw, and whose."""
        flaw, _, rest = unfit.partition(":")
        place, _, type_ = rest.partition(":")
        detail = FLAWS[flaw].format(type_)
        return self.of(self.columns[int(place)], detail) if place else f"{self}: {detail}"

    def of(self, name: str, detail: str) -> str:
        """Say what is wrong with one of the columns."""
        return f"{self.table}.{name}: {detail}"

    def written_down(self, cursor_key: list[str]) -> OrderKey:
        """Read what was written down beside a cursor."""
        table, *rest = cursor_key
        return OrderKey(table, tuple(rest[: len(rest) // 2]), self.given)

    @property
    def names(self) -> list[str]:
        """The table and the columns, as they are written down beside a cursor."""
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
        """What is wrong with it, in words."""
        return FLAWS[self.flaw].format(self.type)


NULLS, MOVED, OTHER = "nulls", "moved", "other"
FLAWS = {
    NULLS: "it is part of the order key and may be NULL",
    "system": "it is part of the order key and a system column, which an update changes",
    "row": "it is part of the order key and of type {}: no row is compared with a text",
    "settings": "it is part of the order key and of type {}, whose text follows the settings",
    MOVED: "it is the order key, and rows that are updated move ahead in it, to be met again",
    OTHER: "it is the order key, and the columns had other types when the job came to where it is",
}
"""What is wrong with a column, by the word that the server answers with."""

_UNFIT = """\
SELECT n, name, flaw, type FROM (
    SELECT array_position(%(names)s::text[], a.attname::text) - 1 AS n, a.attname::text AS name,
        a.atttypid::regtype::text AS type, CASE
        WHEN a.attnum < 0 THEN 'system'
        WHEN t.typcategory = 'C' THEN 'row'
        WHEN t.typoutput IN ({outputs}) OR t.typelem IN ({types}) THEN 'settings'
        WHEN a.attname <> ALL(%(given)s::text[]) AND (NOT a.attnotnull{parts}) THEN 'nulls'
    END AS flaw
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = pg_catalog.to_regclass(%(shown)s::text) AND NOT a.attisdropped
        AND a.attname = ANY(%(names)s::text[])
) AS found WHERE flaw IS NOT NULL"""
"""A type whose values have no order needs no asking: the server refuses every statement. One of an
extension is taken at its word, as pg_dump takes it. A domain has its type's category and output."""
OUTPUTS = {
    790: 887, 24: 45, 2202: 2213, 2203: 2215, 2204: 2217, 2205: 2219, 2206: 2221, 4096: 4092,
    4089: 4085, 3734: 3737, 3769: 3772, 4191: 4194,
}  # fmt: skip
"""``money``, and ``regproc`` and its kin, each with the function that writes it out: texts that
follow settings, as what reads them does. OIDs, which never change: a look at the names would take
half of the time (PostgreSQL sources, pg_type.dat and pg_proc.dat)."""
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
"""NOT NULL of every table that inherits or is a partition: one that is foreign enforces none, and
since PostgreSQL 18 it may be NOT VALID. It takes ten times as long, and so is asked by ``plan`` and
where a rewrite ends. In between a chunk refuses a page that has a NULL in its key. It hangs on no
row of the query around it: CockroachDB has no WITH in a subquery that does."""
_FIRST = """\
(SELECT first.flaw || ':' || first.n::text || ':' || first.type FROM ({rows} LIMIT 1) AS first)"""
_TYPE = "pg_typeof((SELECT {key} FROM batchq_last))::regtype::oid::text"
_NULLS = "(SELECT {flaw} FROM batchq_page WHERE {null} LIMIT 1)"
_OTHER = "CASE WHEN %(was)s::text[] <> {key} THEN 'other' END"
_MOVED = "(SELECT 'moved' FROM batchq_gone WHERE moved LIMIT 1)"


def unfit(key: OrderKey) -> Statement[None]:
    """Write a query for the columns of an order key that cannot be part of one."""
    return raw_sql(_asked(_PARTS), **_values(key))


def described(key: OrderKey) -> str:
    """Write what a cursor is written down with: the table, the columns and their types, as SQL."""
    types = ", ".join(_TYPE.format(key=column(name)) for name in key.columns)
    return f"%(described)s::text[] || ARRAY[{types}]"


def judgement(
    key: OrderKey, was: list[str] | None, *, begins: bool, moves: bool
) -> tuple[str, dict[str, object]]:
    """Write what is wrong with an order key in a chunk, as SQL for a text, which is NULL else.

    :param was: what the cursor was written down with.
    :param begins: whether the chunk is the first of its pass, and so looks at the catalog.
    :param moves: whether rows may be behind their page after the chunk; ``batchq_gone`` says so.
    :return: the text, and its parameters.
    """
    null = [f"{column(name)} IS NULL" for name in key.columns]
    places = " ".join(f"WHEN {one} THEN 'nulls:{n}'" for n, one in enumerate(null))
    parts = [_NULLS.format(flaw=f"CASE {places} END", null=" OR ".join(null))]
    values: dict[str, object] = _values(key) if begins else {"was": was}
    judged = _FIRST.format(rows=_asked("")) if begins else _OTHER.format(key=described(key))
    parts.append(judged)
    if moves:
        parts.append(_MOVED)
    return f"coalesce({', '.join(parts)})", values


@lru_cache(maxsize=2)
def _asked(parts: str) -> str:
    types, outputs = (", ".join(map(str, oids)) for oids in (OUTPUTS, OUTPUTS.values()))
    return _UNFIT.format(parts=parts, types=types, outputs=outputs)


def _values(key: OrderKey) -> dict[str, object]:
    given = [] if key.given is None else [key.given]
    return {"names": list(key.columns), "given": given, "shown": quoted(key.table)}
