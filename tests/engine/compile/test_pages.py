# SPDX-License-Identifier: MIT
"""Pages of a select: each row is on one of them, whatever is NULL, equal, added or removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import asc, desc, gather, param, run, select, sql, steps
from batchq.language.sort_keys import Direction

TABLES = "CREATE TABLE item (id int PRIMARY KEY, name text, size int, kind int NOT NULL DEFAULT 0)"


class Item(NamedTuple):
    id: int
    name: str | None
    size: int | None
    kind: int = 0


LAST: Mapping[str, Any] = {
    "id": param("id", int),
    "name": param("name", str | None),
    "size": param("size", int | None),
    "kind": param("kind", int),
}


@pytest.fixture(autouse=True)
def table(observer):
    observer.execute(TABLES)


def store(conn: psycopg.Connection[Any], rows: list[Item]) -> None:
    for row in rows:
        conn.execute("INSERT INTO item VALUES (%s, %s, %s, %s)", row, prepare=False)


def page_after(order: list[Direction], last: Item | None, limit: int) -> Any:
    """Return a page: built if the last row is of an even number, else declared and bound."""
    names = [str(one.key.column) for one in order]
    if last is None:
        return select("item", order_by=order, limit=param("n", int)).all(Item).bind(n=limit)
    values = {name: getattr(last, name) for name in names}
    if last.id % 2:
        after = {name: LAST[name] for name in names}
        declared = select("item", order_by=order, limit=param("n", int), after=after)
        return declared.all(Item).bind(**values, n=limit)
    return select("item", order_by=order, limit=limit, after=values).all(Item)


def pages(
    conn: psycopg.Connection[Any], order: list[Direction], limit: int
) -> Iterator[list[Item]]:
    last: Item | None = None
    seen: set[Item] = set()
    while page := run(conn, page_after(order, last, limit)):
        assert seen.isdisjoint(page)
        yield page
        seen.update(page)
        last = page[-1]


def in_order(rows: list[Item], order: list[Direction]) -> list[Item]:
    """Sort rows as the server does, one key after the other, the last first."""
    for one in reversed(order):
        name, key = str(one.key.column), one.key
        null = [row for row in rows if getattr(row, name) is None]
        others = [row for row in rows if getattr(row, name) is not None]
        # A reversed sort keeps the order of equal rows.
        others.sort(key=lambda row, name=name: getattr(row, name), reverse=key.descending)
        rows = [*null, *others] if key.nulls == "FIRST" else [*others, *null]
    return rows


DIRECTIONS = st.sampled_from([asc, desc])
NULLS = st.sampled_from([None, "first", "last"])


@st.composite
def orders(draw: st.DrawFn) -> list[Direction]:
    nullable = draw(st.permutations(["name", "size"]))[: draw(st.integers(0, 2))]
    keys = [draw(DIRECTIONS)(name, nulls=draw(NULLS)) for name in nullable]
    is_declared = draw(st.booleans())
    key = draw(DIRECTIONS)("id", nullable=not is_declared)
    keys.insert(draw(st.integers(0, len(keys))) if draw(st.booleans()) else len(keys), key)
    if draw(st.booleans()):
        kind = draw(DIRECTIONS)("kind", nullable=draw(st.booleans()))
        keys.insert(draw(st.integers(0, len(keys))), kind)
    return keys


ROWS = st.lists(
    st.builds(
        Item,
        st.integers(0, 40),
        st.sampled_from([None, "", "a", "b"]),
        st.sampled_from([None, -1, 0, 1]),
        st.integers(0, 2),
    ),
    unique_by=lambda row: row.id,
    max_size=25,
)


@settings(max_examples=40)
@given(order=orders(), tables=st.tuples(ROWS, ROWS), limit=st.integers(1, 7), data=st.data())
def test_each_row_that_stays_is_on_one_page_in_order(planned, order, tables, limit, data):
    rows, others = tables
    planned.execute("DELETE FROM item", prepare=False)
    store(planned, rows)
    known = {row.id for row in rows}
    added = [row for row in others if row.id not in known]
    staying, seen = list(rows), list[Item]()
    for page in pages(planned, order, limit):
        seen += page
        if added:
            store(planned, [added.pop()])
        if staying and data.draw(st.booleans()):
            removed = staying.pop(data.draw(st.integers(0, len(staying) - 1)))
            planned.execute("DELETE FROM item WHERE id = %s", (removed.id,), prepare=False)
    assert seen == in_order(seen, order)
    assert [row for row in seen if row in staying] == in_order(staying, order)


# -- what is read ----------------------------------------------------------------------------------


def rows_read(plan: dict[str, Any]) -> int:
    """Return how many rows the scans of a plan have read, those that a filter removed as well."""
    own = 0
    if "Relation Name" in plan:
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return round(own) + sum(map(rows_read, plan.get("Plans", [])))


ID, SIZE = asc("id", nullable=False), asc("size", nullable=False)
DOWN = [desc("size", nullable=False), desc("id", nullable=False)]


@pytest.mark.parametrize(
    ("order", "index", "ties"),
    [
        ([ID], "", 0),
        ([SIZE, ID], "(size, id)", 0),
        (DOWN, "(size, id)", 0),
        ([SIZE, desc("id", nullable=False)], "(size, id DESC)", 4),
        ([asc("id", nullable=False), asc("name")], "", 1),
    ],
    ids=["key", "ascending", "descending", "mixed", "not null, then nullable"],
)
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_page_of_an_index_reads_no_row_of_the_pages_before(conn, order, index, ties, mode):
    conn.execute("INSERT INTO item SELECT i, NULL, i / 4 FROM generate_series(0, 3999) AS i")
    if index:
        conn.execute(f"CREATE INDEX ON item {index}")
    conn.execute("VACUUM ANALYZE item")
    values = {"id": 2000, "size": 500, "name": None}
    after = {str(one.key.column): values[str(one.key.column)] for one in order}
    (step,) = steps(select("item", order_by=order, limit=20, after=after).all(Item))
    conn.execute(f"SET plan_cache_mode = {mode}")
    conn.execute(f"PREPARE page AS {step.sql}")
    arguments = ", ".join("NULL" if value is None else str(value) for value in step.parameters)
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page({arguments})"
    (((answer,),),) = conn.execute(explain).fetchall()
    assert 0 < rows_read(answer["Plan"]) <= 20 + 1 + ties


# -- what is ordered -------------------------------------------------------------------------------


@pytest.fixture
def three(observer):
    store(observer, [Item(1, "b", None), Item(2, "A", 5), Item(3, None, 5)])


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("id", [1, 2, 3]),
        (desc("id"), [3, 2, 1]),
        (["size", "id"], [2, 3, 1]),
        ([desc("size"), "id"], [1, 2, 3]),
        ([desc("size", nulls="last"), desc("id")], [3, 2, 1]),
        ([asc("size", nulls="first"), "id"], [1, 2, 3]),
        ([sql("lower(name)")], [2, 1, 3]),
        (desc(sql("id %% %(n)s", n=3)), [2, 1, 3]),
        ([sql("name = %(name)s", name="b"), asc(sql("id -- the key"), nullable=False)], [2, 1, 3]),
    ],
    ids=str,
)
def test_order_is_that_of_the_keys(planned, three, order, found):
    for limit in None, 2:
        query = select("item", ["id"], order_by=order, limit=limit).all(tuple)
        assert [row[0] for row in run(planned, query)] == found[:limit]


def test_conditions_and_guards_go_with_a_page(planned, three):
    page = select("item", ["id"], where={"size": 5}, order_by="id", limit=1, after={"id": 2})
    assert run(planned, page.expect(1).all(tuple)) == [(3,)]
    assert run(planned, page.ensure({"id": 3}).one(tuple)) == (3,)
    either = select("item", ["id"], where=sql("id = 1 OR id = 2"), order_by="id", after={"id": 1})
    assert run(planned, either.all(tuple)) == [(2,)]
    lock = select("item", ["id"], order_by=[sql("id * %(n)s", n=-1)]).for_update()
    rows = lock.require({"id": [1, 2, 3]}).expect(3).all(tuple)
    assert run(planned, rows) == [(3,), (2,), (1,)]


def test_page_is_one_of_several_steps(planned, three):
    first = select("item", ["id"], order_by="id", limit=1)
    rest = select("item", ["id"], order_by="id", after={"id": param("id", int)})
    found = run(planned, gather(first.one(tuple), rest.all(tuple).bind(id=1)))
    assert found == ((1,), [(2,), (3,)])


def test_page_of_each_row(planned, three):
    class After(NamedTuple):
        id: int
        limit: int

    rest = select(
        "item", ["id"], order_by="id", after={"id": param("id", int)}, limit=param("limit", int)
    )
    each = rest.all(tuple).takes(After).each([After(0, 1), After(1, 5), After(3, 2)])
    assert run(planned, each) == [[(1,)], [(2,), (3,)], []]


def test_order_is_by_the_column_and_not_by_a_result_of_its_name(planned, observer):
    observer.execute("INSERT INTO item VALUES (1, 'b'), (2, 'C'), (3, 'a')")
    (table,) = observer.execute("SELECT current_schema() || '.item'").fetchone()
    columns = [sql("-id AS id"), "name"]
    first = select(table, columns, order_by="id", limit=2).all(tuple)
    rest = select(table, columns, order_by="id", after={"id": 2}).all(tuple)
    assert run(planned, gather(first, rest)) == ([(-1, "b"), (-2, "C")], [(-3, "a")])


# -- results ---------------------------------------------------------------------------------------


def test_count_and_exists_are_found_by_the_server(planned, three):
    rows = select("item", where={"size": 5})
    none = select("item", where={"size": param("size", int)})
    assert run(planned, gather(rows.count(), rows.exists())) == (2, True)
    assert run(planned, gather(none.count(), none.exists()).bind(size=7)) == (0, False)
    assert run(planned, select("item").count()) == 3
    assert run(planned, select("item", limit=2).count()) == 2
    assert run(planned, select("item", ["id", "id"], order_by="id", after={"id": 1}).count()) == 2
    assert run(planned, select("item", [sql("max(id)")]).count()) == 1
    assert run(planned, rows.for_update().count()) == 2
    assert run(planned, rows.expect(at_least=1).count()) == 2


def test_scalar_may_be_null(planned, three):
    size = select("item", ["size"], where={"id": param("id", int)}).scalar(int, null=True)
    assert run(planned, gather(*[size.bind(id=n) for n in (1, 2)])) == (None, 5)


def test_order_may_use_the_output_of_another_statement(planned, three):
    first = select("item", ["id"], where={"name": "A"}).one(tuple)
    is_other = sql("id <> %(id)s", id=first.output("id", "int"))
    rest = select("item", ["id"], order_by=[is_other, "id"]).all(tuple)
    assert run(planned, gather(first, rest)) == ((2,), [(2,), (1,), (3,)])
