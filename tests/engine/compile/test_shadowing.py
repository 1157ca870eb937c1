# SPDX-License-Identifier: MIT
"""What a search path finds before ``pg_catalog``, or what fits better than what is there, is taken
in by no guard and no output.
"""

from __future__ import annotations

from datetime import UTC, datetime

from batchq import GuardFailed, gather, insert, run, select, update
from batchq.result import attempt
from tests.support.row_values import row_by_guard

NOON = datetime(2024, 2, 3, 12, 0, tzinfo=UTC)

EVIL = """
CREATE DOMAIN {s}.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN {s}.jsonb AS pg_catalog.jsonb CHECK (false);
CREATE DOMAIN {s}.int8 AS pg_catalog.int8 CHECK (false);
CREATE DOMAIN {s}.bool AS pg_catalog.bool CHECK (false);
CREATE DOMAIN {s}.oid AS pg_catalog.oid CHECK (false);
CREATE DOMAIN {s}.regtype AS pg_catalog.regtype CHECK (false);
CREATE AGGREGATE {s}.count(*) (SFUNC = int8inc, STYPE = pg_catalog.int8, INITCOND = '41');
CREATE AGGREGATE {s}.min(pg_catalog.text) (SFUNC = textcat, STYPE = pg_catalog.text);
CREATE AGGREGATE {s}.max(pg_catalog.text) (SFUNC = textcat, STYPE = pg_catalog.text);
CREATE AGGREGATE {s}.string_agg(pg_catalog.text, pg_catalog.text)
    (SFUNC = {s}.three, STYPE = pg_catalog.text);
"""
FUNCTIONS = {
    "set_config": ("text, text, boolean", "text"),
    "current_setting": ("text", "text"),
    "to_jsonb": ("text", "jsonb"),
    "format": ("text, text", "text"),
    "concat": ("text, text, text", "text"),
    "encode": ("bytea, text", "text"),
    "convert_to": ("text, name", "bytea"),
    "jsonb_build_object": ("text, jsonb", "jsonb"),
    "replace": ("text, text, text", "text"),
    "getdatabaseencoding": ("", "name"),
    "record_send": ("record", "bytea"),
    "texteq": ("text, text", "boolean"),
}
OPERATORS = {
    "||": [("text", "text", "text"), ("text", "bigint", "text"), ("text", "anynonarray", "text")],
    "=": [("bigint", "bigint", "boolean"), ("oid", "oid", "boolean"), ("text", "text", "boolean"),
          ("regtype", "regtype", "boolean"), ("bigint", "integer", "boolean"),
          ("name", "name", "boolean"), ("name", "text", "boolean")],
    ">=": [("bigint", "bigint", "boolean")],
    "<=": [("bigint", "bigint", "boolean")],
    "#>>": [("jsonb", "text[]", "text")],
}  # fmt: skip


KEYWORDS = ("boolean", "bigint", "integer")


def catalog(kinds):
    """Return the types in a list, each by its full name."""
    named = filter(None, kinds.split(", "))
    return ", ".join(kind if kind in KEYWORDS else f"pg_catalog.{kind}" for kind in named)


def spoil(conn, schema):
    """Put something of the name of everything that guards and outputs use into a schema."""
    body = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'taken in'; END $$"
    three = f"CREATE FUNCTION {schema}.three(pg_catalog.text, pg_catalog.text, pg_catalog.text)"
    conn.execute(f"{three} RETURNS pg_catalog.text LANGUAGE sql AS 'SELECT NULL::pg_catalog.text'")
    for name, (takes, gives) in FUNCTIONS.items():
        conn.execute(
            f"CREATE FUNCTION {schema}.{name}({catalog(takes)}) RETURNS {catalog(gives)} {body}"
        )
    for sign, kinds in OPERATORS.items():
        for i, (left, right, gives) in enumerate(kinds):
            name = f"{schema}.op_{len(sign)}_{ord(sign[0])}_{i}"
            types = f"{catalog(left)}, {catalog(right)}"
            conn.execute(f"CREATE FUNCTION {name}({types}) RETURNS {catalog(gives)} {body}")
            conn.execute(
                f"CREATE OPERATOR {schema}.{sign} (LEFTARG = {catalog(left)}, "
                f"RIGHTARG = {catalog(right)}, FUNCTION = {name})"
            )
    conn.execute(EVIL.replace("{s}", schema), prepare=False)


def test_objects_before_pg_catalog_change_no_guard_and_no_output(planned):
    """And what fits better than the one in pg_catalog, wherever it stands, is not taken either."""
    conn = planned
    schema = conn.execute("SELECT current_schema()").fetchone()[0]
    conn.execute(
        "CREATE TABLE t (id int, at timestamptz, doc json, names text[]);"
        "CREATE TABLE copy (id int, at timestamptz, doc json, names text[]);"
        "INSERT INTO t VALUES (1, '2024-02-03 12:00:00Z', '{\"a\":  1}', '{a,NULL}')",
        prepare=False,
    )
    spoil(conn, schema)
    for path in (f"{schema}, pg_catalog", f"{schema}"):
        conn.execute(f"SET search_path = {path}", prepare=False)
        for found in row_by_guard(conn, "t", ["at", "names"]):
            assert found == {"at": NOON, "names": ["a", None]}
        for query in (select("t", ["id"], where={"id": 1}), update("t", {"id": 1}, {"id": 1})):
            for wanted in (query.expect(2), query.expect(at_least=2), query.expect(0)):
                answer = attempt(conn, wanted)
                assert isinstance(answer.error, GuardFailed)
                carries = wanted._shape.carries_unexpected
                assert answer.report.violation.rows == (None if carries else 1)
            for wanted in (query.expect(1), query.expect(at_least=1), query.expect(at_most=1)):
                run(conn, wanted)
        run(conn, select("t", ["id"], where={"id": 2}).expect(0))
        row = select("t", where={"id": 1})
        names = ("at", "doc", "names")
        for _ in range(2):
            run(conn, gather(row, insert("copy", {name: row.output(name) for name in names})))
        conn.execute("SET search_path = pg_catalog", prepare=False)
        copied = f"SELECT DISTINCT at, doc::text, names FROM {schema}.copy"
        assert conn.execute(copied, prepare=False).fetchall() == [(NOON, '{"a":  1}', ["a", None])]
