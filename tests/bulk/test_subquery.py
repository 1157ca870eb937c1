# SPDX-License-Identifier: MIT
"""A statement embedded in the text of another one finds and changes the same rows."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchq import Statement, delete, run, select, sql, update
from batchq.bulk.chunks.subquery import column, columns, embed, quoted
from batchq.language.builders import raw_sql

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


def around(text: str, values: dict[str, object]) -> Statement[None]:
    """Return a statement with a parameter of its own, around the embedded text."""
    return raw_sql(f"{text} LIMIT %(most)s", **values, most=1_000)


def sorted_rows(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, rows))


@ANY
@given(statement=selects)
def test_embedded_select_finds_the_same_rows(table: Any, statement: Statement[None]) -> None:
    text, values = embed(statement, "row")
    inner = around(f"SELECT * FROM ({text}) AS a", values)
    deeper, deeper_values = embed(inner, "row")
    outer = around(f"WITH got AS ({deeper}) SELECT * FROM got", deeper_values)
    direct = sorted_rows(run(table, statement.all(dict)))
    assert sorted_rows(run(table, inner.all(dict))) == direct
    assert sorted_rows(run(table, outer.all(dict))) == direct


@ANY
@given(statement=writes)
@example(statement=delete(TABLE, where=sql("true -- all of them")))
def test_embedded_write_changes_the_same_rows(table: Any, statement: Statement[None]) -> None:
    text, values = embed(statement, "deleted")
    inner = around(f"WITH deleted AS ({text} RETURNING 1) SELECT count(*) FROM deleted", values)
    done = []
    for one in (statement.count(), inner.scalar(int)):
        with table.transaction(force_rollback=True):
            count = run(table, one, nested=True)
            left = table.execute(f"SELECT * FROM {called(TABLE)} ORDER BY id").fetchall()
            done.append((count, left))
    assert done[0] == done[1]


@ANY
@given(first=selects, second=writes)
def test_two_embedded_statements_keep_their_values_apart(
    table: Any, first: Statement[None], second: Statement[None]
) -> None:
    """Both number their parameters from one."""
    found, found_values = embed(first, "page")
    deleted, deleted_values = embed(second, "deleted")
    both = around(
        f"WITH page AS ({found}), deleted AS ({deleted} RETURNING 1) "
        "SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM deleted) AS deleted",
        {**deleted_values, **found_values},
    )
    with table.transaction(force_rollback=True):
        (counts,) = run(table, both.all(dict), nested=True)
    with table.transaction(force_rollback=True):
        pages = len(run(table, first.all(dict), nested=True))
        assert counts == {"count": pages, "deleted": run(table, second.count(), nested=True)}


def test_embedded_text_does_not_depend_on_values() -> None:
    one, two = (delete("t", where=[{"id": n}, sql("a < %(n)s", n=n)]) for n in (1, 2))
    assert embed(one, "x") == (
        'DELETE FROM "t" WHERE "id" = %(x1)s AND (a < %(x2)s)',
        {"x1": 1, "x2": 1},
    )
    assert embed(two, "x") == (embed(one, "x")[0], {"x1": 2, "x2": 2})


def test_parameter_used_twice_is_embedded_once() -> None:
    twice = raw_sql("SELECT %(a)s, %(b)s, %(a)s -- 5%%", b=1, a=2)
    text, values = embed(twice, "x")
    assert text == "SELECT %(x1)s, %(x2)s, %(x1)s -- 5%%"
    assert values == {"x1": 2, "x2": 1}


def test_names_in_a_text_with_parameters_double_percent_signs() -> None:
    assert column(NAME) == '"na%%me"'
    assert columns((KIND, "id"), suffix=" DESC") == '"k""ind %%(x)d" DESC, "id" DESC'
    assert quoted('a%.b"') == '"a%%"."b"""'
