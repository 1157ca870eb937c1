# SPDX-License-Identifier: MIT
"""A fragment on the server: whatever it says, the statement around it does what it says itself."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import (
    BatchError,
    InvalidBatch,
    Statement,
    delete,
    gather,
    insert,
    run,
    select,
    sql,
    steps,
    update,
)

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a text, b int, o0 int);
INSERT INTO t VALUES (1, 'x', 10, 10), (2, 'y', 20, 20), (3, 'z', 30, 30);
"""
OTHERS = [(2, "y", 20, 20), (3, "z", 30, 30)]


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)


def rows(conn):
    return conn.execute("SELECT id, a, b, o0 FROM t ORDER BY id", prepare=False).fetchall()


def test_a_value_does_not_set_a_second_column(conn):
    with pytest.raises(InvalidBatch):
        run(conn, update("t", {"b": sql("1), o0 = (2")}, where={"id": 1}))
    with pytest.raises(InvalidBatch):
        run(conn, insert("t", {"id": sql("7, 8"), "a": "x"}))
    assert rows(conn) == [(1, "x", 10, 10), *OTHERS]


def test_a_condition_among_others_does_not_empty_the_table(conn):
    with pytest.raises(InvalidBatch):
        run(conn, delete("t", where=[{"id": 1}, sql("id = 1) OR (true")]))
    assert rows(conn) == [(1, "x", 10, 10), *OTHERS]


def test_a_guarded_text_brings_no_statement_with_it(conn):
    with pytest.raises(InvalidBatch):
        run(conn, sql("SELECT 1) , x AS (DELETE FROM t RETURNING 1").expect(1))
    assert rows(conn) == [(1, "x", 10, 10), *OTHERS]


def test_text_that_a_setting_would_change_is_rejected(conn):
    """A backslash escapes the quote after it when standard_conforming_strings is off."""
    text = r"a = '\' || ') OR true OR (a = '' -- '"
    found = f"SELECT count(*) FROM t WHERE id = 1 AND ({text}\n)"
    conn.execute("SET escape_string_warning = off")
    for setting, reached in (("on", 0), ("off", 3)):
        conn.execute(f"SET standard_conforming_strings = {setting}")
        assert conn.execute(found, prepare=False).fetchone() == (reached,)
        with pytest.raises(InvalidBatch, match="standard_conforming_strings"):
            run(conn, delete("t", where=[{"id": 1}, sql(text)]))
    assert rows(conn) == [(1, "x", 10, 10), *OTHERS]


def test_an_output_in_a_fragment_is_one_value_whatever_stands_beside_it(conn):
    made = insert("t", {"id": 7, "a": "{3,4}"})
    second = sql("(%(ids)s[2])::int", ids=made.output("a", "int[]"))
    third = sql("SELECT %(ids)s[1]", ids=made.output("a", "int[]")).scalar(int)
    change = update("t", {"b": second}, where={"id": 7})
    assert run(conn, gather(made, change, third))[2] == 3
    assert rows(conn)[-1] == (7, "{3,4}", 4, None)


# -- anything --------------------------------------------------------------------------------------

CHUNKS = [
    *"()[],;'\"\\$= \n\r",
    *(
        "''",
        "\\'",
        "--",
        "-- x\n",
        "/*",
        "*/",
        "$$",
        "$q$",
        "E'",
        "U&'",
        "N'",
        'U&"',
        "1",
        "2",
        "b",
    ),
    *(
        "true",
        " OR ",
        " OR true",
        " AND ",
        " IS DISTINCT FROM ",
        " FROM ",
        "id",
        "a",
        "o0",
        " AS n",
    ),
    *(") OR (true", "), o0 = (2", " RETURNING ", " WHERE ", "(SELECT 1)", "DELETE FROM t", "''''"),
    *(" -- ) OR (true\n", "'x' = '", "\\') OR (true) -- '", "x$q$", "1a", "\u00a0", "\v", "é"),
]
WORDS = st.lists(st.sampled_from(CHUNKS), min_size=1, max_size=9).map("".join)
PLAIN = st.sampled_from(["1", "true", "b = 2", "(b)", "'x'", "a || 'y'", "length(a)"])
FRAGMENTS = st.one_of(WORDS, st.tuples(PLAIN, WORDS, PLAIN).map("".join), PLAIN)


def built(text: Any) -> list[Statement[Any]]:
    """Statements that are about the first row alone, whatever the text says of it."""
    one = {"id": 1}
    makes = (
        lambda: update("t", {"a": sql(text)}, where=one),
        lambda: update("t", {"a": sql(text), "b": 10}, where=[one, sql(text)]),
        lambda: delete("t", where=[one, sql(text)]),
        lambda: delete("t", where=[sql(text), one]).ensure({"b": sql(text)}),
        lambda: update("t", {"a": "x"}, where=one).require(sql(text)),
        lambda: (
            update("t", {"a": "x"}, where=one).require({"b": sql(text)}).returning("a").all(tuple)
        ),
        lambda: insert("t", {"id": 9, "a": sql(text), "o0": 5}).returning("o0", "b").one(tuple),
        lambda: select("t", [sql(text)], where=one).all(list),
        lambda: sql("SELECT * FROM t WHERE id = 1 AND (" + text + ")").all(tuple).ensure({"id": 1}),
    )
    statements = []
    for make in makes:
        try:
            statements.append(make())
        except InvalidBatch:
            continue
    return statements


@pytest.fixture(params=["on", "off"], ids=["standard", "backslashes"])
def strings(request, conn) -> psycopg.Connection[Any]:
    conn.execute(f"SET standard_conforming_strings = {request.param}")
    conn.execute("SET escape_string_warning = off")
    conn.prepare_threshold = None
    return conn


@settings(max_examples=150, deadline=None)
@given(FRAGMENTS)
def test_no_fragment_reaches_another_row_or_column(strings, text):
    conn = strings
    for statement in built(text):
        with conn.transaction(force_rollback=True):
            try:
                run(conn, statement, nested=True)
            except (BatchError, InvalidBatch):
                continue
            first, others = [], []
            for row in rows(conn):
                (first if row[0] in (1, 9) else others).append(row)
            assert others == OTHERS, steps(statement)[0].sql
            for row in first:
                assert row[2:] == (10, 10) if row[0] == 1 else (None, 5), steps(statement)[0].sql


@pytest.mark.parametrize("number", [15, 16])
def test_a_fragment_in_a_fragment_is_one_operand(planned, number):
    sum_ = sql("b + %(more)s", more=5)
    where = sql("%(sum)s * %(factor)s > %(least)s", {"sum": sum_, "least": 29, "factor": 2, "x": 0})
    statement = update("t", {"o0": sql("%(sum)s - %(sum)s + b", sum=sum_)}, [{"id": 1}, where])
    guarded = statement.require(sql("%(sum)s = %(n)s", sum=sum_, n=number), raises=KeyError)
    for _ in range(2):
        if number == 15:
            run(planned, guarded)
        else:
            with pytest.raises(KeyError):
                run(planned, guarded)
