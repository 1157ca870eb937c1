# SPDX-License-Identifier: MIT
"""A statement inside an SQL text finds and changes the same rows."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchq import Statement, delete, gather, insert, run, select, sql, steps, update
from batchq.engine.compile.compile import compiled
from batchq.engine.compile.parameter_places import Place
from batchq.language.builders import raw_sql
from batchq.language.sql_template import sql_template

TABLE = 'od%d "t" %s'
NAME, KIND, COUNT = "na%me", 'k"ind %(x)d', "N 1 %%"
ROWS = """
CREATE TABLE {table} (id int PRIMARY KEY, {name} text, {kind} text, {count} int);
INSERT INTO {table} SELECT n, (ARRAY['a', '100%', '%s', 'a -- b', ''])[1 + n % 5],
    (ARRAY['x', '$1', NULL])[1 + n % 3], n * 10 FROM generate_series(1, 30) AS n
"""


def called(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def table(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    names = {"table": TABLE, "name": NAME, "kind": KIND, "count": COUNT}
    quoted_names = {key: called(name) for key, name in names.items()}
    conn.execute(ROWS.format(**quoted_names))  # type: ignore[arg-type]
    return conn


# -- what is drawn ---------------------------------------------------------------------------------

small = st.integers(-1, 31)
texts = st.sampled_from(["a", "100%", "%s", "a -- b", "", "$1", "%(id)s", "x'; --"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5
)

BARE = [
    sql("id % 3 = 0"),
    sql("id > 4 -- every one, or 99% of them"),
    sql("'$1 %s' <> '%(id)d' /* %s -- */"),
    sql("EXISTS (SELECT 1 WHERE true) -- '"),
]
FRAGMENTS = [
    "id %% 7 < %(a)s",
    "id BETWEEN %(a)s AND %(a)s + %(b)s AND id <> %(a)s -- twice %%(b)s",
    "id > %(b)s OR id = %(a)s OR id < %(b)s",
    "'100%%' LIKE '%%' AND %(a)s::int < id AND '$1' <> %(b)s::text --",
    "%(a)s<id AND %(b)s>=0",
]
fragments = st.sampled_from(BARE) | st.builds(
    lambda text, a, b: raw_sql(text, **{k: v for k, v in (("a", a), ("b", b)) if f"({k})" in text}),
    st.sampled_from(FRAGMENTS),
    small,
    small,
)
numbers = st.builds(
    lambda a, text: raw_sql(text, a=a),
    small,
    st.sampled_from(["%(a)s + 1", "%(a)s::int %% 20 + %(a)s -- 5%%", "abs(%(a)s)"]),
)
mappings = st.fixed_dictionaries(
    {},
    optional={
        "id": small | st.lists(small, max_size=9) | numbers,
        NAME: texts | st.lists(texts, max_size=4),
        KIND: st.none() | st.sampled_from(["x", "$1"]),
    },
).filter(bool)
conditions = (
    mappings | fragments | st.lists(mappings | fragments, min_size=1, max_size=3)  # any of them
)
sets = st.fixed_dictionaries(
    {},
    optional={
        NAME: st.none() | texts | st.just(sql("upper('%s' || \"na%me\") -- 'up'")),
        KIND: st.none() | texts,
        COUNT: st.none() | small | numbers,
    },
).filter(bool)
wanted = st.lists(
    st.sampled_from(["id", NAME, KIND, COUNT, sql("'5%' AS five -- %"), sql("id % 4 AS rest")]),
    min_size=1,
    unique_by=str,
)

selects = st.builds(lambda names, where: select(TABLE, names, where=where), wanted, conditions)
writes = st.builds(lambda where: delete(TABLE, where=where), conditions) | st.builds(
    lambda changes, where: update(TABLE, changes, where=where), sets, conditions
)

ANY = settings(max_examples=60, deadline=None)


# -- what holds ------------------------------------------------------------------------------------


IN_FROM = sql_template("SELECT * FROM ({rows}) AS a LIMIT %(most)s")
IN_WITH = sql_template("WITH got AS ({rows}) SELECT * FROM got LIMIT %(most)s")
COUNTED = sql_template(
    "WITH deleted AS ({write} RETURNING 1) SELECT count(*) FROM deleted LIMIT %(most)s"
)
BOTH = sql_template(
    "WITH page AS ({rows}), deleted AS ({write} RETURNING 1) "
    "SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM deleted) AS deleted LIMIT %(most)s"
)


def sorted_rows(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, rows))


@ANY
@given(statement=selects)
def test_nested_select_finds_the_same_rows(table: Any, statement: Statement[None]) -> None:
    inner = IN_FROM.fill(rows=statement, most=1_000)
    outer = IN_WITH.fill(rows=inner, most=1_000)
    direct = sorted_rows(run(table, statement.all(dict)))
    assert sorted_rows(run(table, inner.all(dict))) == direct
    assert sorted_rows(run(table, outer.all(dict))) == direct


@ANY
@given(statement=writes)
@example(statement=delete(TABLE, where=sql("true -- all of them")))
def test_nested_write_changes_the_same_rows(table: Any, statement: Statement[None]) -> None:
    done = []
    for one in (statement.count(), COUNTED.fill(write=statement, most=1).scalar(int)):
        with table.transaction(force_rollback=True):
            count = run(table, one, nested=True)
            left = table.execute(f"SELECT * FROM {called(TABLE)} ORDER BY id").fetchall()
            done.append((count, left))
    assert done[0] == done[1]


@ANY
@given(first=selects, second=writes)
def test_two_nested_statements_keep_their_values_apart(
    table: Any, first: Statement[None], second: Statement[None]
) -> None:
    both = BOTH.fill(write=second, most=1_000, rows=first)
    with table.transaction(force_rollback=True):
        (counts,) = run(table, both.all(dict), nested=True)
    with table.transaction(force_rollback=True):
        pages = len(run(table, first.all(dict), nested=True))
        assert counts == {"count": pages, "deleted": run(table, second.count(), nested=True)}


# -- the text --------------------------------------------------------------------------------------


def sent(statement: Statement[Any]) -> tuple[str, tuple[object, ...]]:
    (step,) = steps(statement)
    return step.sql, step.parameters


def test_parameters_are_numbered_in_the_order_of_the_text() -> None:
    inner = delete("t", where=[{"id": 1}, sql("a < %(n)s", n=2)])
    outer = sql_template("WITH b AS ({write} RETURNING 1) SELECT %(a)s, %(b)s, %(a)s -- 5%%")
    text, values = sent(outer.fill(b=3, a=4, write=inner))
    assert text == (
        'WITH b AS (DELETE FROM "t" WHERE "id" = $1 AND (a < $2) RETURNING 1) '
        "SELECT $3, $4, $3 -- 5%"
    )
    assert values == (1, 2, 4, 3)


def test_statement_in_two_gaps_of_one_name_has_its_parameters_once() -> None:
    twice = sql_template("SELECT %(n)s, ({rows}) UNION SELECT 2, ({rows})")
    filled = twice.fill(rows=select("t", ["a"], where={"id": 7}), n=1)
    one = '(SELECT "a" FROM "t" WHERE "id" = $2)'
    assert sent(filled) == (f"SELECT $1, {one} UNION SELECT 2, {one}", (1, 7))


@pytest.mark.parametrize("one", ["1 -- one", "SELECT 1 -- one"])
def test_comment_at_the_end_of_a_nested_text_ends_there(one: str) -> None:
    filled = sql_template("SELECT ({one}) + 1").fill(one=raw_sql(one))
    assert sent(filled)[0] == f"SELECT ({one}\n) + 1"


def test_type_of_a_nested_parameter_is_decided_by_the_text_around_it() -> None:
    inner = update("t", {"a": "1"}, where=[{"b": "2", "c": ["3"]}, sql("d = %(d)s::text", d="4")])
    filled = sql_template("WITH x AS ({write}) SELECT %(e)s").fill(write=inner, e="5")
    free = Place.FREE
    assert compiled(filled._shape).places == (free, free, free, Place.CAST, free)
    later = sql_template("SELECT ({rows}), %(f)s").fill(rows=filled, f="6")
    assert compiled(later._shape).places == (free, free, free, Place.CAST, free, free)


def test_nested_statement_takes_an_output(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, a int)")
    first = insert("t", {"a": 40})
    rows = select("t", ["a"], where={"id": first.output("id")})
    filled = sql_template("SELECT ({rows}) + %(n)s").fill(rows=rows, n=2).scalar(int)
    assert run(conn, gather(first, filled)) == (None, 42)
