# SPDX-License-Identifier: MIT
"""Every form of a guard on a row, firing and not firing: what it judges x its statement x
result shapes x kinds of condition x ways to be planned, these pairwise.

As in ``test_guards.py`` each form has a case: a new member of ``When`` or ``Rows``, or a
new kind of source, fails this file until it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Any, NamedTuple, get_args

import psycopg
import pytest
from attrs import frozen

from batchq import (
    GuardFailed,
    InvalidBatch,
    Outcome,
    Statement,
    delete,
    gather,
    insert,
    run,
    select,
    sql,
    update,
)
from batchq.conditions import between, like, lt, ne, not_in
from batchq.language.guards import When
from batchq.language.results import Rows
from batchq.language.syntax import Delete, Insert, RawSql, Select, Source, Update
from batchq.result import attempt
from batchq.types import ViolationKind
from tests.support.plan_modes import pairwise_mode
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE thing (id int PRIMARY KEY, state text, n int, note text); CREATE TABLE log (n int);
"""
STATE = "SELECT (SELECT count(*) FROM log), (SELECT string_agg(t::text, ';') FROM thing AS t)"


class Id(NamedTuple):
    id: int


Row = tuple[str | None, int | None]
"""The state and n of the one row there is."""


@frozen
class Condition:
    """A condition, the rows that meet it and those that do not, and what it cannot name itself."""

    requires: Any
    met: tuple[Row, ...]
    unmet: tuple[Row, ...]
    columns: tuple[str, ...] = ()


READY = {"state": "ready"}
ONE_COLUMN = {
    "value": Condition(READY, (("ready", 1),), (("closed", 1), (None, 1))),
    "None": Condition({"state": None}, ((None, 1),), (("ready", 1), ("", 1))),
    "list": Condition(
        {"state": ["ready", "idle"]}, (("ready", 1), ("idle", 1)), (("closed", 1), (None, 1))
    ),
    "empty list": Condition({"state": []}, (), (("ready", 1), (None, 1))),
    "ne": Condition({"state": ne("ready")}, (("closed", 1), (None, 1)), (("ready", 1),)),
    "ne(None)": Condition({"state": ne(None)}, (("ready", 1),), ((None, 1),)),
    "not_in": Condition(
        {"state": not_in(["ready", None])}, (("closed", 1),), (("ready", 1), (None, 1))
    ),
    "between": Condition(
        {"state": between("m", "s")}, (("ready", 1),), (("closed", 1), ("z", 1), (None, 1))
    ),
    "like": Condition({"state": like("r_a%")}, (("ready", 1),), (("Ready", 1), (None, 1))),
    "lt a fragment": Condition(
        {"state": lt(sql("%(s)s", s="ready"))}, (("closed", 1),), (("ready", 1), (None, 1))
    ),
    "fragment": Condition(
        {"state": sql("lower(%(s)s)", s="READY")}, (("ready", 1),), (("closed", 1), (None, 1))
    ),
    "fragment without parameters": Condition(
        {"state": sql("'ready'")}, (("ready", 1),), (("closed", 1), (None, 1))
    ),
}
CONDITIONS = ONE_COLUMN | {
    "several": Condition(
        {"state": "ready", "n": 1}, (("ready", 1),), (("ready", 2), ("closed", 1), ("ready", None))
    ),
    "whole fragment": Condition(
        sql("state = %(s)s OR n > %(n)s", s="ready", n=5),
        (("ready", 1), ("closed", 6), (None, 6), ("ready", None)),
        (("closed", 1), (None, None), (None, 1)),
        columns=("state", "n"),
    ),
    "whole fragment that names nothing": Condition(
        sql("n = 1"), (("ready", 1),), (("ready", 2), ("ready", None))
    ),
}

ONLY = {"id": 1}
RETURNING = "RETURNING id, state"
# The statements that a guard is on. Each is about the one row, or makes it.
SOURCES: dict[str, tuple[type[Any], Callable[[Row], Statement[Any]]]] = {
    "insert": (Insert, lambda r: insert("thing", {"id": 2, "state": r[0], "n": r[1]})),
    "update": (Update, lambda _: update("thing", {"note": "x"}, ONLY)),
    "delete": (Delete, lambda _: delete("thing", ONLY)),
    "delete by fragment": (Delete, lambda _: delete("thing", sql("id < %(n)s OR id = 1", n=1))),
    "select": (Select, lambda _: select("thing", ["id", "state"], where=ONLY)),
    "lock": (
        Select,
        lambda _: select("thing", where=ONLY).for_update().expect(1, missing=LookupError()),
    ),
    "sql update": (RawSql, lambda _: sql(f"UPDATE thing SET note = 'x' {RETURNING}")),
    "sql delete": (RawSql, lambda _: sql(f"DELETE FROM thing WHERE id = %(id)s {RETURNING}", id=1)),
    "sql insert": (
        RawSql,
        lambda r: sql(
            f"INSERT INTO thing VALUES (2, %(state)s, %(n)s) {RETURNING}", state=r[0], n=r[1]
        ),
    ),
    "sql cte": (
        RawSql,
        lambda _: sql(f"WITH x AS (DELETE FROM thing {RETURNING}) SELECT * FROM x"),
    ),
    "sql select": (RawSql, lambda _: sql("SELECT id, state FROM thing")),
    "sql select by group": (
        RawSql,
        lambda _: sql("SELECT id, max(state) AS state FROM thing GROUP BY id"),
    ),
}
# For scalar(): of one column, which is the one that is judged.
SCALARS: dict[str, tuple[type[Any], Callable[[Row], Statement[Any]]]] = {
    "insert": SOURCES["insert"],
    "update": SOURCES["update"],
    "delete": SOURCES["delete"],
    "select": (Select, lambda _: select("thing", ["state"], where=ONLY)),
    "sql update": (RawSql, lambda _: sql("UPDATE thing SET note = 'x' RETURNING state")),
    "sql select": (RawSql, lambda _: sql("SELECT state FROM thing")),
}
# For an update with unless() and an insert that may update: see test_unless.py, test_upsert.py. A
# look whether there are rows judges none of them: see tests/language/test_pages.py.
ALL_ROWS = frozenset(Rows) - {Rows.UPDATED, Rows.INSERTED, Rows.CHANGED, Rows.EXISTS}
# What is judged of which source, and with which shapes; what is not here is refused.
ASKED: dict[tuple[When, type[Any]], frozenset[Rows]] = {
    (When.BEFORE, Update): ALL_ROWS,
    (When.BEFORE, Delete): ALL_ROWS,
    (When.BEFORE, Select): ALL_ROWS,
    (When.AFTER, Insert): ALL_ROWS,
    (When.AFTER, Update): ALL_ROWS,
    (When.AFTER, Delete): ALL_ROWS,
    (When.AFTER, Select): ALL_ROWS,
    (When.AFTER, RawSql): ALL_ROWS,
    (When.NEVER, Select): frozenset({Rows.NONE}),
    (When.NEVER, RawSql): frozenset({Rows.NONE}),
}

SHAPES: dict[Rows, Callable[[Statement[Any], Any], Statement[Any]]] = {
    Rows.NONE: lambda s, _: s,
    Rows.COUNT: lambda s, _: s.count(),
    Rows.ONE: lambda s, model: s.one(model),
    Rows.MAYBE: lambda s, model: s.maybe(model),
    Rows.ALL: lambda s, model: s.all(model),
    Rows.SCALAR: lambda s, _: s.scalar(object),
}


def shaped(statement: Statement[Any], rows: Rows) -> Statement[Any]:
    """Ask for a shape. What batchq writes out itself returns the id, and nothing else."""
    built = not isinstance(statement._shape.source, RawSql | Select)
    if rows in (Rows.NONE, Rows.COUNT):
        return SHAPES[rows](statement, None)
    if statement._shape.source.verb == "lock":  # it names no columns
        return SHAPES[rows](statement, Id)
    return SHAPES[rows](statement.returning("id") if built else statement, dict)


def judging(judged: When, statement: Statement[Any], condition: Condition) -> Statement[Any]:
    match judged:
        case When.BEFORE:
            return statement.require(condition.requires, raises=Unmet, columns=condition.columns)
        case When.AFTER:
            ((column, expected),) = condition.requires.items()
            return statement.ensure({column: expected}, raises=Unmet)
        case When.NEVER:
            return statement.expect(0, unexpected=Unmet, columns=["id", "state"])


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def test_every_way_to_judge_every_kind_of_source_has_a_case_or_is_refused():
    kinds = set(get_args(Source))
    assert {kind for kind, _ in SOURCES.values()} == kinds
    assert SHAPES.keys() == ALL_ROWS
    # A row in the way is judged for insert_or_get() alone: see test_same.py; a second match with
    # from_= and using= alone: see test_other_tables.py.
    elsewhere = {When.CONFLICT, When.LEAVE, When.ONCE}
    for judged, (kind, make) in product(set(When) - elsewhere, SOURCES.values()):
        if (judged, kind) not in ASKED:
            with pytest.raises(InvalidBatch):
                judging(judged, make(("ready", 1)), ONE_COLUMN["value"])


def cases(judged: When, conditions: Iterable[Condition] = ()) -> list[Any]:
    """Return each statement with each shape, in one plan mode, with a third of the conditions.

    Each condition meets each statement, each shape and each mode.
    """
    found: list[Any] = []
    for shape, rows in enumerate(SHAPES):
        sources = SCALARS if rows is Rows.SCALAR else SOURCES
        for place, (name, (kind, make)) in enumerate(sources.items()):
            contradicts = name == "lock" and rows is Rows.MAYBE  # a lock is of exactly one row
            no_query = name == "lock" or (name.startswith("sql") and "select" not in name)
            refused = contradicts or (judged is When.NEVER and no_query)
            if rows in ASKED.get((judged, kind), ()) and not refused:
                mode = pairwise_mode(shape, place)
                some = [one for n, one in enumerate(conditions, shape + 2 * place) if n % 3 == 0]
                values = (make, rows, mode, some) if conditions else (make, rows, mode)
                found.append(pytest.param(*values, id=f"{name}-{rows.value}-{mode.name}"))
    return found


def refused(conn, observer, statement, found) -> None:
    """See a guard fire: on its step, with what it found, and with nothing kept."""
    before = observer.execute(STATE).fetchone()
    answer = attempt(conn, gather(insert("log", {"n": 0}), statement, insert("log", {"n": 0})))
    report = answer.report
    assert isinstance(answer.error, Unmet), report
    assert (answer.error.requirement, answer.error.found) == (0, found)
    assert type(report) is GuardFailed
    assert (report.statement, report.index) == (statement, 1)
    assert report.outcome is Outcome.ROLLED_BACK
    assert (report.violation.kind, report.violation.rows) == (ViolationKind.GUARD, None)
    assert observer.execute(STATE).fetchone() == before


def passed(conn, observer, statement) -> Any:
    result = run(conn, gather(insert("log", {"n": 0}), statement, insert("log", {"n": 0})))[1]
    assert observer.execute("SELECT count(*) FROM log").fetchone() == (2,)
    return result


def fill(observer: psycopg.Connection[Any], row: Row | None) -> None:
    observer.execute("DELETE FROM log; DELETE FROM thing")
    if row is not None:
        observer.execute("INSERT INTO thing VALUES (1, %s, %s, '')", row)


def expected(statement: Statement[Any], rows: Rows, row: Row) -> Any:
    """Return the result of a statement that passes: without the columns of its guards."""
    new = 2 if "insert" in statement.title.lower() else 1
    built = not isinstance(statement._shape.source, RawSql | Select)
    if rows in (Rows.NONE, Rows.COUNT):
        return None if rows is Rows.NONE else 1
    if rows is Rows.SCALAR:
        return new if built else row[0]
    one: Any = {"id": new} if built else {"id": new, "state": row[0]}
    if statement._shape.result.model is Id:
        one = Id(new)
    return [one] if rows is Rows.ALL else one


with_conditions = partial(
    pytest.mark.parametrize, ("make", "rows", "planned", "conditions"), indirect=["planned"]
)


@with_conditions(cases(When.BEFORE, CONDITIONS.values()))
def test_require_fires_exactly_when_a_row_that_is_found_does_not_meet_it(
    planned, observer, make, rows, conditions
):
    for condition in conditions:
        for row in (*condition.unmet, *condition.met, *condition.unmet):
            fill(observer, row)
            statement = judging(When.BEFORE, shaped(make(row), rows), condition)
            if row in condition.met:
                wanted = expected(statement, rows, row)
                assert passed(planned, observer, statement) == wanted
                continue
            named = condition.columns or (
                condition.requires if type(condition.requires) is dict else ()
            )
            values = dict(zip(("state", "n"), row, strict=True))
            refused(planned, observer, statement, {c: values[c] for c in named})


@with_conditions(cases(When.AFTER, ONE_COLUMN.values()))
def test_check_fires_exactly_when_a_row_that_is_returned_does_not_meet_it(
    planned, observer, make, rows, conditions
):
    for condition in conditions:
        for row in (*condition.unmet, *condition.met, *condition.unmet):
            fill(observer, row)
            statement = judging(When.AFTER, shaped(make(row), rows), condition)
            if row in condition.met:
                wanted = expected(statement, rows, row)
                assert passed(planned, observer, statement) == wanted
            else:
                refused(planned, observer, statement, {"state": row[0]})


@pytest.mark.parametrize(("make", "rows", "planned"), cases(When.NEVER), indirect=["planned"])
def test_forbid_fires_exactly_when_there_is_a_row(planned, observer, make, rows):
    for row in (("ready", 1), None, (None, 1)):
        fill(observer, row)
        statement = judging(When.NEVER, make(row or (None, None)), ONE_COLUMN["value"])
        if row is None:
            assert passed(planned, observer, statement) is None
        else:
            refused(planned, observer, statement, {"id": 1, "state": row[0]})
