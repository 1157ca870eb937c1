# SPDX-License-Identifier: MIT
"""Every form of a guard, firing and not firing: bounds x shapes x commands x ways to be planned,
these pairwise.

Most natural spellings of a guard silently never fire. So each form has a case here: a new
member of ``Bound`` or ``Rows`` fails this file until it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

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
from batchq.language.guards import Bound
from batchq.language.results import Rows
from batchq.types import ViolationKind
from tests.support.plan_modes import pairwise_mode
from tests.support.titles import title

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE log (n int);
CREATE TABLE one (yes bool); INSERT INTO one VALUES (true);
"""
FILL = "DELETE FROM log; DELETE FROM t; INSERT INTO t SELECT n, '' FROM generate_series(1, 5) AS n"
STATE = "SELECT (SELECT count(*) FROM log), (SELECT string_agg(id || note, ',') FROM t)"


@frozen
class Form:
    """How a guard is asked for, how many rows it lets pass, and how many not."""

    ask: Callable[[Statement[Any]], Statement[Any]]
    passes: tuple[int, ...]
    fires: tuple[int, ...]


FORMS = {
    (Bound.EXACTLY, Rows.NONE): Form(lambda s: s.expect(1), (1,), (0, 2)),
    (Bound.EXACTLY, Rows.COUNT): Form(lambda s: s.count().expect(2), (2,), (0, 1, 3)),
    (Bound.EXACTLY, Rows.ONE): Form(lambda s: s.one(tuple), (1,), (0, 2)),
    (Bound.EXACTLY, Rows.SCALAR): Form(lambda s: s.scalar(int), (1,), (0, 2)),
    (Bound.EXACTLY, Rows.ALL): Form(lambda s: s.all(tuple).expect(2), (2,), (0, 1, 3)),
    (Bound.AT_LEAST, Rows.NONE): Form(lambda s: s.expect(at_least=1), (1, 2), (0,)),
    (Bound.AT_LEAST, Rows.COUNT): Form(lambda s: s.count().expect(at_least=2), (2, 3), (0, 1)),
    (Bound.AT_LEAST, Rows.ALL): Form(lambda s: s.all(tuple).expect(at_least=2), (2, 3), (0, 1)),
    (Bound.AT_MOST, Rows.NONE): Form(lambda s: s.expect(at_most=1), (0, 1), (2, 3)),
    (Bound.AT_MOST, Rows.COUNT): Form(lambda s: s.count().expect(at_most=2), (0, 1, 2), (3,)),
    (Bound.AT_MOST, Rows.MAYBE): Form(lambda s: s.maybe(tuple), (0, 1), (2, 3)),
    (Bound.AT_MOST, Rows.ALL): Form(lambda s: s.all(tuple).expect(at_most=2), (0, 1, 2), (3,)),
}
REFUSED = {
    (Bound.EXACTLY, Rows.MAYBE): lambda s: s.maybe(tuple).expect(1),
    (Bound.AT_LEAST, Rows.MAYBE): lambda s: s.maybe(tuple).expect(at_least=1),
    (Bound.AT_LEAST, Rows.ONE): lambda s: s.one(tuple).expect(at_least=1),
    (Bound.AT_LEAST, Rows.SCALAR): lambda s: s.scalar(int).expect(at_least=1),
    (Bound.AT_MOST, Rows.ONE): lambda s: s.one(tuple).expect(at_most=1),
    (Bound.AT_MOST, Rows.SCALAR): lambda s: s.scalar(int).expect(at_most=1),
    (Bound.EXACTLY, Rows.EXISTS): lambda _: select("t").exists().expect(1),
    (Bound.AT_LEAST, Rows.EXISTS): lambda _: select("t").exists().expect(at_least=1),
    (Bound.AT_MOST, Rows.EXISTS): lambda _: select("t").exists().expect(at_most=1),
}
# No row at all, which is another thing to count.
NOTHING = {
    (Bound.EXACTLY, Rows.NONE): Form(lambda s: s.expect(0), (0,), (1, 2)),
    (Bound.EXACTLY, Rows.COUNT): Form(lambda s: s.count().expect(0), (0,), (1, 2)),
}

Command = Callable[[int], Statement[Any]]
"""Makes a statement that affects or returns so many rows."""


def text(sql_text: str) -> Command:
    return lambda n: sql(sql_text, n=n)  # type: ignore[arg-type]


UP_TO = "id <= %(n)s"
FEW = f"WITH few AS (SELECT id FROM t WHERE {UP_TO})"
MOVED = f"WITH moved AS (DELETE FROM t WHERE {UP_TO} RETURNING id)"
NEW = "INSERT INTO t (id) SELECT generate_series(5, 5 + %(n)s) ON CONFLICT DO NOTHING"
UP = (
    "WITH RECURSIVE up(i) AS "
    "(SELECT 1 WHERE %(n)s > 0 UNION ALL SELECT i + 1 FROM up WHERE i < %(n)s)"
)

# Of each row they say one column, an integer.
COMMANDS: dict[str, Command] = {
    "built update": lambda n: update("t", {"note": "x"}, sql(UP_TO, n=n)).returning("id"),
    "built delete": lambda n: delete("t", {"id": list(range(1, n + 1))}).returning("id"),
    "built select": lambda n: select("t", ["id"], where=sql(UP_TO, n=n)),
    "update": text(f"UPDATE t SET note = 'returning' WHERE {UP_TO} RETURNING id"),
    "update from": text(f"UPDATE t SET note = 'x' FROM one WHERE {UP_TO} RETURNING id"),
    "delete": text(f"DELETE FROM t WHERE {UP_TO} RETURNING id"),
    "insert on conflict": text(f"{NEW} RETURNING id"),
    "select": text(f"SELECT id FROM t WHERE {UP_TO}"),
    # By the planner's estimate at most one row: which side it scans first must not matter.
    "select few": text("SELECT id FROM t WHERE id BETWEEN 1 AND %(n)s"),
    "delete few": text("DELETE FROM t WHERE id BETWEEN 1 AND %(n)s RETURNING id"),
    "select for update": text(f"SELECT id FROM t WHERE {UP_TO} FOR UPDATE"),
    "select in parentheses": text(f"(SELECT id FROM t WHERE {UP_TO}) ORDER BY id LIMIT 9"),
    "union": text(f"SELECT id FROM t WHERE {UP_TO} UNION SELECT id FROM t WHERE {UP_TO}"),
    "aggregate": text(f"SELECT max(id) FROM t WHERE {UP_TO} GROUP BY id HAVING count(*) = 1"),
    "constant": text("SELECT 1 FROM generate_series(1, %(n)s)"),
    "cte": text(f"{FEW} SELECT id FROM few"),
    "cte before parentheses": text(f"{FEW} (SELECT id FROM few)"),
    "cte of a write": text(f"{MOVED} SELECT id FROM moved"),
    "cte that moves": text(f"{MOVED} INSERT INTO log SELECT id FROM moved RETURNING n"),
    "recursive cte": text(f"{UP} DELETE FROM t USING up WHERE up.i = id RETURNING id"),
    "comment in front": text(f"/* ; */ -- first\nDELETE FROM t WHERE {UP_TO} RETURNING id"),
    "comment at the end": text(f"DELETE FROM t WHERE {UP_TO} RETURNING id -- last"),
    "comment after a cte": text(f"{FEW} -- few\nSELECT id FROM few"),
    "semicolon": text(f"DELETE FROM t WHERE {UP_TO} RETURNING id;\n -- last\n"),
}
# For expect() and count(), which want no rows.
ROWLESS_COMMANDS: dict[str, Command] = {
    "built update": lambda n: update("t", {"note": "x"}, sql(UP_TO, n=n)),
    "built delete": lambda n: delete("t", {"id": list(range(1, n + 1))}),
    "built select": lambda n: select("t", ["id"], where=sql(UP_TO, n=n)),
    "update": text(f"UPDATE t SET note = 'returning' WHERE {UP_TO}"),
    "delete": text(f"DELETE FROM t WHERE {UP_TO} -- last"),
    "insert on conflict": text(f"{NEW};"),
    "cte": text(f"{FEW} DELETE FROM t USING few WHERE t.id = few.id"),
    "cte that moves": text(f"{MOVED} INSERT INTO log SELECT id FROM moved"),
    "recursive cte": text(f"{UP} UPDATE t SET note = 'x' FROM up WHERE up.i = id"),
}


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)
    observer.execute(FILL)
    observer.execute("ANALYZE t")


def test_every_bound_with_every_shape_has_a_case_or_cannot_be_asked_for():
    # Those of one kind of statement: test_unless.py, test_upsert.py, test_change.py.
    of_one_kind = {Rows.UPDATED, Rows.INSERTED, Rows.CHANGED}
    assert {*FORMS, *REFUSED} == set(product(Bound, set(Rows) - of_one_kind))
    assert not FORMS.keys() & REFUSED.keys()
    for (bound, rows), form in FORMS.items():
        asked = form.ask(sql("SELECT 1"))
        assert (asked._shape.guard.bound, asked._shape.result.rows) == (bound, rows)


@pytest.mark.parametrize("ask", REFUSED.values(), ids=title)
def test_a_bound_that_contradicts_the_shape_is_refused(ask):
    with pytest.raises(InvalidBatch):
        ask(sql("SELECT 1"))


def check(
    conn: psycopg.Connection[Any],
    observer: psycopg.Connection[Any],
    command: Command,
    shape: Rows,
    form: Form,
) -> None:
    """Let the guard fire, pass and fire again, so that it is planned once for both."""
    for n in (*form.fires, *form.passes, *form.fires):
        observer.execute(FILL)
        guarded = form.ask(command(n))
        batch = gather(insert("log", {"n": 0}), guarded, insert("log", {"n": 0}))
        if n in form.passes:
            assert rows_of(shape, run(conn, batch)[1]) in (None, n)
            assert observer.execute("SELECT count(*) >= 2 FROM log").fetchone() == (True,)
            continue
        before = observer.execute(STATE).fetchone()
        with pytest.raises(GuardFailed) as caught:
            run(conn, batch)
        error = caught.value
        assert (error.statement, error.index) == (guarded, 1)
        assert error.outcome is Outcome.ROLLED_BACK
        # The error carries the first row of a select that is expected to find none.
        rows = None if guarded._shape.carries_unexpected else n
        assert (error.violation.kind, error.violation.rows) == (ViolationKind.GUARD, rows)
        assert observer.execute(STATE).fetchone() == before


def rows_of(shape: Rows, result: Any) -> int | None:
    """How many rows a result says there were; None where it does not say."""
    match shape:
        case Rows.NONE:
            assert result is None
            return None
        case Rows.COUNT:
            return result
        case Rows.SCALAR:
            assert type(result) is int
            return 1
        case Rows.MAYBE if result is None:
            return 0
        case _:  # a list of rows, or the one row, which has one column
            return len(result)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_guard_fires_exactly_when_its_rows_are_wrong(conn, observer, name):
    place = [*COMMANDS].index(name)
    for number, ((_, shape), form) in enumerate([*FORMS.items(), *NOTHING.items()]):
        # count() of what a built write returns is refused.
        if shape is not Rows.COUNT or "built" not in name:
            planned = pairwise_mode(place, number).set_on(conn)
            check(planned, observer, COMMANDS[name], shape, form)


@pytest.mark.parametrize("name", ROWLESS_COMMANDS)
def test_a_guard_needs_no_returning_where_no_rows_are_wanted(conn, observer, name):
    place = [*ROWLESS_COMMANDS].index(name)
    rowless = (Rows.NONE, Rows.COUNT)
    forms = [(shape, form) for (_, shape), form in [*FORMS.items(), *NOTHING.items()]]
    for number, (shape, form) in enumerate(form for form in forms if form[0] in rowless):
        planned = pairwise_mode(place, number).set_on(conn)
        check(planned, observer, ROWLESS_COMMANDS[name], shape, form)


@pytest.mark.parametrize("name", [name for name in ROWLESS_COMMANDS if "built" not in name])
def test_rows_that_are_wanted_need_a_returning(conn, name):
    with pytest.raises(InvalidBatch, match="RETURNING"):
        run(conn, ROWLESS_COMMANDS[name](1).one(tuple))
