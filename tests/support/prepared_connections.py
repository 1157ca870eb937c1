# SPDX-License-Identifier: MIT
"""A connection that prepares statements, and one that does not.

Whatever changes in the schema, both must return and store the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import psycopg
from psycopg.types.enum import EnumInfo, register_enum

from batchq import Batch, InvalidBatch, delete, gather, insert, select, sql, update
from batchq.conditions import between, like, lt, ne, not_in
from batchq.engine.wire.connection_state import state_of
from batchq.result import Ok, attempt
from tests.support.clients import prepared

# A type like citext, which is an extension that not every server has: text whatever its case.
TYPES = """
CREATE TYPE ci;
CREATE FUNCTION ci_in(cstring) RETURNS ci LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION ci_out(ci) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE ci (input = ci_in, output = ci_out, like = text, category = 'S', collatable = true);
CREATE CAST (ci AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS ci) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (ci AS varchar) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (varchar AS ci) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE FUNCTION ci_eq(ci, ci) RETURNS bool LANGUAGE sql IMMUTABLE
    AS 'SELECT lower($1::text) = lower($2::text)';
CREATE OPERATOR = (leftarg = ci, rightarg = ci, function = ci_eq, commutator = =);
CREATE FUNCTION ci_lt(ci, ci) RETURNS bool LANGUAGE sql IMMUTABLE
    AS 'SELECT lower($1::text) < lower($2::text)';
CREATE OPERATOR < (leftarg = ci, rightarg = ci, function = ci_lt);
CREATE FUNCTION ci_like(ci, text) RETURNS bool LANGUAGE sql IMMUTABLE
    AS 'SELECT lower($1::text) LIKE lower($2)';
CREATE OPERATOR ~~ (leftarg = ci, rightarg = text, function = ci_like);
CREATE FUNCTION ci_like(ci, ci) RETURNS bool LANGUAGE sql IMMUTABLE
    AS 'SELECT lower($1::text) LIKE lower($2::text)';
CREATE OPERATOR ~~ (leftarg = ci, rightarg = ci, function = ci_like);
CREATE TYPE mood AS ENUM ('7', 'ab', '007', 'AB');
CREATE TYPE mood2 AS ENUM ('7', 'ab', 'other');
CREATE DOMAIN words AS text;
CREATE DOMAIN number AS int
"""
# The types that a column may come to have. (Not regclass: a text for a column that has become one
# fails only where a row takes it.)
KINDS = (
    'int,bigint,numeric(8,2),real,text,varchar(20),varchar(2),char(8),name,"char",uuid,date,'
    "timestamp,timestamptz,bool,bytea,json,jsonb,inet,cidr,mood,mood[],mood2,words,number,text[],"
    "varchar(5)[],int[],uuid[],oid,ci,interval"
)
COLUMNS = KINDS.replace("(8,2)", "(8.2)").split(",")

ROWS = ("ab", "AB", "7", "007", "x" * 70, "2024-05-01", "1.50", "{ab}", None)
"""What may be in the table, where its type takes it."""


class Unmet(Exception):
    """A guard of these statements has fired."""


def _choice(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]


# Each takes one value, to all the places where one may stand.
STATEMENTS: dict[str, Callable[[Any], Batch[Any]]] = {
    "insert": lambda v: insert("t", {"k": 99, "v": v}),
    "insert, returning": lambda v: insert("t", {"k": 99, "v": v}).returning("v").one(tuple),
    "update": lambda v: update("t", {"v": v}, {"k": 1}).count(),
    "select": lambda v: select("t", ["k", "v"], where={"v": v}).all(tuple),
    "select, one of several": lambda v: select("t", ["k"], where={"v": _choice(v)}).all(tuple),
    "select, one of several or none": lambda v: select(
        "t", ["k"], where={"v": [*_choice(v), None]}
    ).all(tuple),
    "ne": lambda v: select("t", ["k"], where={"v": ne(v)}).all(tuple),
    "lt": lambda v: select("t", ["k"], where={"v": lt(v)}).all(tuple),
    "between, guarded": lambda v: delete("t", {"v": between(v, v)}).expect(
        at_least=1, missing=Unmet
    ),
    "like": lambda v: select("t", ["k"], where={"v": like(v)}).all(tuple),
    "not_in": lambda v: select("t", ["k"], where={"v": not_in(_choice(v))}).all(tuple),
    "refuse": lambda v: update("t", {"k": 5}, {"k": 1}).refuse(
        {"v": not_in([*_choice(v), None])}, raises=Unmet
    ),
    "unless": lambda v: (
        update("t", {"k": 5}, {"k": 1}).unless({"v": v}).returning("v").updated(tuple)
    ),
    "delete": lambda v: delete("t", {"v": v}).count(),
    "delete, guarded": lambda v: delete("t", {"v": v}).expect(at_least=1, missing=Unmet),
    "maybe": lambda v: select("t", ["k"], where={"v": v}).maybe(tuple),
    "require": lambda v: update("t", {"k": 5}, {"k": 1}).require({"v": v}, raises=Unmet),
    "check": lambda v: insert("t", {"k": 99, "v": "7"}).ensure({"v": v}, raises=Unmet),
    "sql": lambda v: sql("SELECT k FROM t WHERE v = %(v)s", v=v).all(tuple),
    "sql, any": lambda v: sql("SELECT k FROM t WHERE v = ANY(%(v)s)", v=_choice(v)).all(tuple),
    "sql, cast": lambda v: sql("SELECT k FROM t WHERE v = %(v)s::text", v=v).all(tuple),
    "sql, coalesce": lambda v: sql("SELECT coalesce(%(v)s, v) AS w FROM t", v=v).all(tuple),
    "sql, insert": lambda v: sql("INSERT INTO t VALUES (99, %(v)s)", v=v),
    "fragment": lambda v: update("t", {"v": sql("%(v)s", v=v)}, sql("k = 1")).count(),
    "fragment, cast": lambda v: update("t", {"v": sql("%(v)s::text", v=v)}, {"k": 1}).count(),
    "three": lambda v: gather(
        insert("t", {"k": 99, "v": v}),
        select("t", ["k"], where={"v": v}).all(tuple),
        update("t", {"v": v}, {"v": "7"}).count(),
    ),
}


class ConnectionPair:
    """The two connections, and their schema."""

    def __init__(self, admin: psycopg.Connection[Any], warm: Any, cold: Any) -> None:
        self.admin, self.warm, self.cold = admin, warm, cold

    def execute(self, query: str) -> None:
        """Change the schema, by a third connection."""
        self.admin.execute(query, prepare=False)  # type: ignore[call-overload]  # no literal

    def set_column_type(self, column: str, *, new_table: bool = True) -> None:
        """Change the column's type: in a new table, or by ALTER TABLE."""
        column = column.replace(".", ",")
        if new_table:
            self.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (k int, v {column})")
        else:
            self.execute(f"TRUNCATE t; ALTER TABLE t ALTER v TYPE {column} USING NULL")
        for key, row in enumerate(ROWS, 1):
            try:
                self.admin.execute("INSERT INTO t VALUES (%s, %s)", [key, row], prepare=False)
            except psycopg.Error:
                continue

    def both(self, batch: Batch[Any], *, still: bool = False) -> list[Any]:
        """Run a batch on each connection, and roll it back; return the answers and the rows.

        :param still: restore the statement cache. Otherwise the statements that one failure
            invalidates would hide an error of the next one.
        """
        books = state_of(self.warm).statements
        before = {name: copy(value) for name, value in vars(books).items()}
        seen = [_seen(conn, batch) for conn in (self.warm, self.cold)]
        if still:
            vars(books).update(before, _epoch=books._epoch + 1, version=books.version + 1)
        return seen

    def prepared_names(self) -> set[bytes]:
        """Return the names of prepared statements, without BEGIN and the like."""
        return {name for name in prepared(self.warm) if len(name) > 30}


def _seen(conn: psycopg.Connection[Any], batch: Batch[Any]) -> Any:
    conn.execute("BEGIN", prepare=False)
    answer = attempt(conn, batch, nested=True)
    if isinstance(answer, Ok):
        result: object = repr(answer.value)
    else:
        report, violation = answer.report, answer.report.violation
        what = violation and (violation.sqlstate, violation.kind, violation.message)
        result = type(answer.error), type(report), report.outcome, report.path, what, str(report)
    try:
        rows = conn.execute("SELECT * FROM t ORDER BY 1, 2::text; ROLLBACK", prepare=False)
    except psycopg.errors.UndefinedTable:
        conn.execute("ROLLBACK", prepare=False)
        return result, "table t does not exist"
    return result, repr(rows.fetchall())


def statement(name: str, value: object) -> Batch[Any] | None:
    """Return the statement for a value, or None if it does not accept that."""
    try:
        return STATEMENTS[name](value)
    except InvalidBatch:
        return None


@contextmanager
def connection_pair(connect: Callable[..., psycopg.Connection[Any]]) -> Iterator[ConnectionPair]:
    """Open both connections, in a schema with the types; register its enum with both."""
    admin = connect(prepare_threshold=None)
    for command in TYPES.split(";\n"):
        admin.execute(command)  # type: ignore[call-overload]  # no literal
    info = EnumInfo.fetch(admin, "mood")
    assert info is not None
    with connect(prepare_threshold=0) as warm, connect(prepare_threshold=None) as cold:
        warm.prepared_max = 100_000
        for conn in (warm, cold):
            register_enum(info, conn)
        yield ConnectionPair(admin, warm, cold)
