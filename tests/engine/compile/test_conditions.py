# SPDX-License-Identifier: MIT
"""Comparisons by other operators than ``=``: which rows they find, NULL among them, on a server."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import InvalidBatch, delete, gather, insert, param, row, run, select, sql, steps, update
from batchq.conditions import between, ge, gt, le, like, lt, ne, not_in
from batchq.result import attempt
from tests.support.row_values import Unmet
from tests.support.session_settings import FIXED_SETTINGS, VARYING_SETTINGS, any_of, assignment

KINDS = {
    "int": [0, 1, 7, -(2**31)],
    "text": ["", "a", "A", "007", "7", "a\\b%_", "ä"],
    "char(3)": ["a", "a  ", "b"],
    "float8": [0.0, -0.0, 1.5, math.nan, math.inf],
    "numeric": [Decimal(0), Decimal("1.50"), Decimal("NaN")],
    "date": [date(2024, 2, 3), date(2024, 3, 2)],
    "timestamptz": [datetime(2024, 2, 3, tzinfo=UTC), datetime(2024, 3, 2, 1, tzinfo=UTC)],
    "bool": [True, False],
    "mood": ["sad", "glad"],
    "bytea": [b"", b"\\x00"],
}
COLUMNS = {kind: f"c{number}" for number, kind in enumerate(KINDS)}
TABLES = f"""
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE t (k serial, {", ".join(f"{name} {kind}" for kind, name in COLUMNS.items())});
CREATE TABLE job (id int PRIMARY KEY, state text, attempts int, due timestamptz);
"""


@pytest.fixture
def found(planned, observer):
    """Return the ids of the jobs that a condition finds."""
    observer.execute(TABLES)
    observer.execute(
        "INSERT INTO job VALUES (1, 'new', 1, '2024-02-03'), (2, 'done', 5, '2024-02-04'),"
        "(3, NULL, NULL, NULL), (4, '50%', 9, 'infinity')"
    )

    def found(where: Any, bound: Any = None) -> list[int]:
        read = select("job", ["id"], where=where).all(tuple)
        for _ in range(2):  # asked about, and prepared
            rows = run(planned, read if bound is None else read.bind(**bound))
        return sorted(row[0] for row in rows)

    return found


CASES: dict[str, tuple[Any, list[int]]] = {
    "ne": ({"attempts": ne(5)}, [1, 3, 4]),
    "ne of a text": ({"state": ne("done")}, [1, 3, 4]),
    "ne(None)": ({"attempts": ne(None)}, [1, 2, 4]),
    "ne of an expression": ({"attempts": ne(sql("1 + %(n)s", n=4))}, [1, 3, 4]),
    "ne of an expression that is NULL": ({"attempts": ne(sql("NULL::int"))}, [1, 2, 3, 4]),
    "ne of a column": ({"attempts": ne(sql("id"))}, [2, 3, 4]),
    "not_in": ({"attempts": not_in([1, 5])}, [3, 4]),
    "not_in of a tuple": ({"state": not_in(("new", "done"))}, [3, 4]),
    "not_in with None": ({"attempts": not_in([1, None])}, [2, 4]),
    "not_in of None": ({"attempts": not_in([None])}, [1, 2, 4]),
    "not_in of nothing": ({"attempts": not_in([])}, [1, 2, 3, 4]),
    "lt": ({"attempts": lt(5)}, [1]),
    "le": ({"attempts": le(5)}, [1, 2]),
    "gt": ({"attempts": gt(5)}, [4]),
    "ge": ({"attempts": ge(5)}, [2, 4]),
    "lt of a text": ({"state": lt("e")}, [2, 4]),
    "lt of an expression": ({"due": lt(sql("now()"))}, [1, 2]),
    "between": ({"attempts": between(1, 5)}, [1, 2]),
    "between, and nothing is": ({"attempts": between(5, 1)}, []),
    "between a value and an expression": ({"attempts": between(2, sql("4 + 5"))}, [2, 4]),
    "like": ({"state": like("%e%")}, [1, 2]),
    "like a percent sign": ({"state": like(r"%\%")}, [4]),
    "like an expression": ({"state": like(sql("'n' || %(rest)s", rest="%"))}, [1]),
    "several": ([{"attempts": gt(0)}, {"attempts": ne(5), "state": not_in(["new"])}], [4]),
}


@pytest.mark.parametrize(("where", "ids"), CASES.values(), ids=CASES)
def test_condition_finds_its_rows(found, where, ids):
    assert found(where) == ids


N, M = param("n", int), param("m", int)
DECLARED: dict[str, tuple[Any, dict[str, Any], list[int]]] = {
    "ne": ({"attempts": ne(N)}, {"n": 5}, [1, 3, 4]),
    "lt": ({"attempts": lt(N)}, {"n": 5}, [1]),
    "ge": ({"attempts": ge(N)}, {"n": 5}, [2, 4]),
    "between": ({"attempts": between(N, M)}, {"n": 2, "m": 9}, [2, 4]),
    "not_in": ({"attempts": not_in(param("l", list[int]))}, {"l": [1, 5]}, [3, 4]),
    "not_in of nothing": ({"attempts": not_in(param("l", list[int]))}, {"l": []}, [1, 2, 3, 4]),
    "like": ({"state": like(param("p", str))}, {"p": "d%"}, [2]),
    "in an expression": ({"attempts": lt(sql("%(n)s + 1", n=N))}, {"n": 4}, [1]),
}


@pytest.mark.parametrize(("where", "bound", "ids"), DECLARED.values(), ids=DECLARED)
def test_declared_condition_finds_its_rows(found, where, bound, ids):
    assert found(where, bound) == ids


class TestGuards:
    @pytest.mark.parametrize("declared", [False, True], ids=["built", "bound"])
    def test_require_and_refuse_fire_and_do_not(self, found, planned, observer, declared):
        most = param("most", int) if declared else 5
        busy = param("busy", list[str]) if declared else ["done"]

        def claim(job):
            claiming = (
                update("job", {"state": "claimed"}, {"id": job})
                .require({"attempts": lt(most)}, raises=Unmet)
                .refuse({"state": not_in(busy)}, raises=Unmet)
            )
            return claiming.bind(most=5, busy=["done"]) if declared else claiming

        observer.execute("INSERT INTO job VALUES (5, 'done', 4, NULL)")
        for job, requirement, seen in (
            (2, 0, {"attempts": 5}),
            (3, 0, {"attempts": None}),
            (1, 1, {"state": "new"}),
        ):
            error = attempt(planned, claim(job)).error
            assert isinstance(error, Unmet)
            assert (error.requirement, error.found) == (requirement, seen)
        run(planned, claim(5))
        assert found({"state": "claimed"}) == [5]

    def test_ensure_fires_and_does_not(self, found, planned):
        more = update("job", {"attempts": sql("attempts + 1")}, {"id": 1})
        for _ in range(2):
            error = attempt(planned, more.ensure({"attempts": gt(2)}, raises=Unmet)).error
            assert (error.requirement, error.found) == (0, {"attempts": 2})
        run(planned, more.ensure({"attempts": between(2, 2)}, raises=Unmet))
        returned = sql("UPDATE job SET state = 'x' WHERE id = 2 RETURNING state, attempts")
        run(planned, returned.ensure({"state": like("x"), "attempts": ne(6)}))
        with pytest.raises(Unmet):
            run(planned, returned.ensure({"attempts": ne(5)}, raises=Unmet))
        assert found({"attempts": 2}) == [1]

    @pytest.mark.usefixtures("found")
    def test_expect_of_no_row(self, planned):
        late = select("job", ["id"], where={"due": le(datetime(2024, 2, 3, tzinfo=UTC))})
        with pytest.raises(Unmet) as caught:
            run(planned, late.expect(0, unexpected=Unmet))
        assert caught.value.found == {"id": 1}
        run(planned, select("job", ["id"], where={"due": lt(date(2024, 2, 3))}).expect(0))


class Claim(NamedTuple):
    id: int
    most: int
    busy: list[str]


def test_each_row_is_judged_by_its_own_values(found, planned):
    claim = row(Claim)
    claiming = (
        update("job", {"state": "claimed"}, {"id": claim.id, "state": not_in(claim.busy)})
        .expect(at_most=1)
        .require({"attempts": le(claim.most)}, raises=Unmet)
    )
    run(planned, claiming.each([Claim(1, 1, []), Claim(2, 4, ["x", "done"]), Claim(4, 9, ["x"])]))
    assert found({"state": "claimed"}) == [1, 4]
    with pytest.raises(Unmet) as caught:
        run(planned, claiming.each([Claim(1, 1, []), Claim(2, 5, []), Claim(3, 9, [])]))
    assert caught.value.found == {"attempts": None}
    assert caught.value.__cause__.row_index == 2
    assert found({"state": "claimed"}) == [1, 4]


@pytest.mark.parametrize("type_", [None, "int"], ids=["the column's type", "a type of its own"])
def test_an_output_is_compared(found, planned, type_):
    """NULL equals the NULL of an output, so ne() does not find it."""

    def compare(attempts, condition):
        made = insert("job", {"id": 9, "attempts": attempts}).one(tuple).returning("attempts")
        read = select("job", ["id"], where={"attempts": condition(made.output("attempts", type_))})
        return sorted(run(planned, gather(made, read.all(tuple), delete("job", {"id": 9})))[1])

    assert compare(5, ne) == [(1,), (3,), (4,)]
    assert compare(None, ne) == [(1,), (2,), (4,)]
    assert compare(5, ge) == [(2,), (4,), (9,)]
    assert compare(None, ge) == []
    assert compare(5, lambda v: between(1, v)) == [(1,), (2,), (9,)]


def test_an_output_needs_its_column_or_a_type():
    made = insert("job", {"id": 9}).one(tuple).returning("id")
    check = sql("UPDATE job SET id = 9 RETURNING id").ensure({"id": lt(made.output("id"))})
    with pytest.raises(InvalidBatch, match="the type of the output for 'id' is unknown"):
        _ = steps(gather(made, check))[1].sql


@pytest.fixture(scope="module")
def table(postgres):
    """Open a connection to a schema with a column of each type, for many examples."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as owner:
        owner.execute("CREATE SCHEMA conditions")
        owner.execute("SET search_path = conditions")
        owner.execute(TABLES)
        options = "-csearch_path=conditions"
        with psycopg.connect(postgres.conninfo(), autocommit=True, options=options) as conn:
            conn.prepare_threshold = 0
            yield owner, conn
        owner.execute("DROP SCHEMA conditions CASCADE")


def values_of(kind: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(KINDS[kind])


@st.composite
def pairs(draw: st.DrawFn) -> Any:
    """Draw rows of a column, and a condition with its complement."""
    kind = draw(st.sampled_from([*KINDS]))
    column, values = COLUMNS[kind], values_of(kind)
    rows = draw(st.lists(st.none() | values, min_size=1, max_size=6))
    if draw(st.booleans()):
        value = draw(st.none() | values)
        return kind, rows, {column: value}, {column: ne(value)}
    choice = draw(st.lists(st.none() | values, max_size=3))
    if kind == "mood" and any(choice):  # its array has no type that the driver knows
        choice = [None]
    return kind, rows, {column: choice}, {column: not_in(choice)}


@settings(max_examples=60, deadline=None)
@given(pair=pairs(), changed=any_of({**FIXED_SETTINGS, **VARYING_SETTINGS}))
def test_a_condition_and_its_complement_find_each_row_once(table, pair, changed):
    owner, conn = table
    kind, rows, where, complement = pair
    column = COLUMNS[kind]
    owner.execute("TRUNCATE t")
    for value in rows:
        owner.execute(f"INSERT INTO t ({column}) VALUES (%s)", [value])
    conn.execute("RESET ALL")
    for name, value in changed.items():
        if name not in ("search_path", "client_encoding"):
            setting, written = assignment(name, value, "conditions")
            conn.execute(f"SET {setting} = {written}", prepare=False)
    each = gather(
        select("t", ["k"], where=where).all(tuple),
        select("t", ["k"], where=complement).all(tuple),
    )
    first, second = run(conn, each)
    everything = owner.execute("SELECT k FROM t ORDER BY 1").fetchall()
    assert sorted([*first, *second]) == everything


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from([*KINDS]))
def test_ordered_conditions_find_each_row_but_those_with_null_once(table, data, kind):
    owner, conn = table
    column = COLUMNS[kind]
    rows = data.draw(st.lists(st.none() | values_of(kind), min_size=1, max_size=6))
    low, high = data.draw(values_of(kind)), data.draw(values_of(kind))
    owner.execute("TRUNCATE t")
    for value in rows:
        owner.execute(f"INSERT INTO t ({column}) VALUES (%s)", [value])
    conn.execute("RESET ALL")

    def ids(condition):
        return run(conn, select("t", ["k"], where={column: condition}).all(tuple))

    filled = sorted(ids(ne(None)))
    for less, more in ((lt, ge), (le, gt)):
        assert sorted(ids(less(low)) + ids(more(low))) == filled
    assert sorted(ids(lt(low)) + ids(low) + ids(gt(low))) == filled
    both = set(ids(ge(low))) & set(ids(le(high)))
    assert set(ids(between(low, high))) == both
