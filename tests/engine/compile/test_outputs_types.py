# SPDX-License-Identifier: MIT
"""An output is the very value that was produced, whatever its type.

What a column holds afterwards is compared as the server writes it, which distinguishes -0 from 0
and one array from another with other bounds.
"""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import gather, insert, run, select, sql
from batchq.language.builders import raw_sql
from batchq.result import attempt
from tests.support.literals import ANY, MAKE_TYPES, ODD

SOURCE = select("source", where={"id": 1})
# The fixture gives one connection to all examples, and each begins by emptying the tables.
EXAMPLES = settings(deadline=None, max_examples=50)


def lay_out(conn: psycopg.Connection, types: list[str]) -> None:
    conn.execute(MAKE_TYPES)
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(types))
    conn.execute(f"CREATE TABLE source (id int, {columns}); CREATE TABLE copy ({columns})")


def fill(conn: psycopg.Connection, types: list[str], values: list[str | None]) -> None:
    conn.execute("TRUNCATE source, copy", prepare=False)
    casts = ", ".join(f"%s::text::{name}" for name in types)
    conn.execute(f"INSERT INTO source VALUES (1, {casts})", values, prepare=False)


def texts(conn: psycopg.Connection, table: str, count: int) -> list[str | None]:
    """Return the columns as their types write them; None for NULL, but not for a row of NULLs."""
    text = "CASE WHEN c{0} IS NOT DISTINCT FROM NULL THEN NULL ELSE format('%%s', c{0}) END"
    columns = ", ".join(text.format(i) for i in range(count)).replace("%%", "%")
    return list(conn.execute(f"SELECT {columns} FROM {table}", prepare=False).fetchone())


def by_column(types):
    return insert("copy", {f"c{i}": SOURCE.output(f"c{i}") for i in range(len(types))})


def by_sql(types):
    params = {f"c{i}": SOURCE.output(f"c{i}", name) for i, name in enumerate(types)}
    values = ", ".join(f"%({name})s" for name in params)
    return raw_sql(f"INSERT INTO copy VALUES ({values})", **params)


def by_fragment(types):
    cells = {f"c{i}": SOURCE.output(f"c{i}", name) for i, name in enumerate(types)}
    return insert("copy", {name: sql("%(v)s", v=output) for name, output in cells.items()})


WAYS = [by_column, by_sql, by_fragment]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_value_arrives_as_it_is(conn, kind, way):
    lay_out(conn, [kind])
    for value in [*ODD[kind], None]:
        fill(conn, [kind], [value])
        run(conn, gather(SOURCE, way([kind])))
        assert texts(conn, "copy", 1) == texts(conn, "source", 1)


@pytest.mark.parametrize("way", WAYS)
def test_any_values_of_all_types_arrive_as_they_are_in_one_statement(conn, way):
    kinds = list(ANY)
    lay_out(conn, kinds)

    @EXAMPLES
    @given(st.tuples(*(st.none() | ANY[kind] for kind in kinds)))
    def all_arrive(values):
        fill(conn, kinds, list(values))
        run(conn, gather(SOURCE, way(kinds)))
        assert texts(conn, "copy", len(kinds)) == texts(conn, "source", len(kinds))

    all_arrive()


@pytest.mark.parametrize(
    "setting", ["TimeZone = 'Asia/Kolkata'", "DateStyle = 'SQL, DMY'", "IntervalStyle = iso_8601",
                "bytea_output = escape", "IntervalStyle = sql_standard"],
)  # fmt: skip
@pytest.mark.parametrize("way", WAYS)
def test_outputs_do_not_depend_on_the_session_styles(conn, way, setting):
    odd = [(kind, value) for kind in ODD for value in ODD[kind]]
    some = [
        (kind, value) for kind, value in odd if kind.startswith(("time", "date", "inter", "byt"))
    ]
    kinds = [kind for kind, _ in some]
    lay_out(conn, kinds)
    fill(conn, kinds, [value for _, value in some])
    conn.execute(f"SET {setting}")
    run(conn, gather(SOURCE, way(kinds)))
    assert texts(conn, "copy", len(kinds)) == texts(conn, "source", len(kinds))


DOCUMENTS = [
    ("jsonb", "null"),
    ("json", "null"),
    ("json", '{"b": 1,  "a": 2}'),
    ("json", ' "\\u0041\\\\" '),
    ("document", "null"),
]


@pytest.mark.parametrize(("kind", "value"), DOCUMENTS)
@pytest.mark.parametrize("way", WAYS)
def test_json_arrives_letter_by_letter_and_its_null_is_a_value(conn, way, kind, value):
    lay_out(conn, [kind])
    fill(conn, [kind], [value])
    run(conn, gather(SOURCE, way([kind])))
    assert texts(conn, "copy", 1) == [value]


def test_json_output_finds_its_column_beside_odd_and_dropped_ones(conn):
    conn.execute("CREATE TABLE source AS SELECT 1 AS id, 'null'::jsonb AS c0")
    conn.execute(
        'CREATE TABLE copy (a int, dropped int, "c0,""" text, ",c0" json, c0 jsonb, z int)'
    )
    conn.execute("ALTER TABLE copy DROP COLUMN dropped")
    run(conn, gather(SOURCE, insert("copy", {"c0": SOURCE.output("c0"), "z": 1})))
    assert conn.execute("SELECT c0::text, z FROM copy").fetchone() == ("null", 1)


def test_output_type_is_found_in_other_schemas_and_for_quoted_names(conn):
    schema = conn.execute("SELECT current_schema").fetchone()[0]
    conn.execute('CREATE TABLE "co py" ("se""lect" numeric, "%s" text); CREATE TABLE s (v numeric)')
    conn.execute("INSERT INTO s VALUES (1.50)")
    producer = sql('SELECT v AS "sel\'e""ct" FROM s')
    value = producer.output("sel'e\"ct")
    run(conn, gather(producer, insert(f"{schema}.co py", {'se"lect': value, "%s": value})))
    assert conn.execute('SELECT * FROM "co py"').fetchone()[1] == "1.50"


def test_table_with_not_null_columns_takes_a_typed_output(conn):
    """A row of the table's type cannot be made of one column there."""
    conn.execute("CREATE DOMAIN given AS text NOT NULL; CREATE TABLE copy (c0 int, note given)")
    conn.execute("CREATE TABLE source (id int, c0 int); INSERT INTO source VALUES (1, 7)")
    bare, typed = SOURCE.output("c0"), SOURCE.output("c0", "int")
    answer = attempt(conn, gather(SOURCE, insert("copy", {"c0": bare, "note": "x"})))
    assert answer.report.violation.sqlstate == "23502"
    run(conn, gather(SOURCE, insert("copy", {"c0": typed, "note": "x"})))
    assert conn.execute("SELECT c0 FROM copy").fetchone() == (7,)
