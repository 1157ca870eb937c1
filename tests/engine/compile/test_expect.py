# SPDX-License-Identifier: MIT
"""``.expect()``: ``missing=`` is raised for too few rows, ``unexpected=`` for too many."""

from __future__ import annotations

import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    delete,
    format_error,
    gather,
    insert,
    run,
    select,
    sql,
    steps,
    update,
)
from batchq.result import Ok, attempt

TABLES = "CREATE TABLE item (id int PRIMARY KEY, kind int, name text); CREATE TABLE log (n int);"
ROWS = """
TRUNCATE item, log;
INSERT INTO item VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 2, 'c');
INSERT INTO item VALUES (4, 3, 'd'), (5, 3, 'e'), (6, 3, 'f');
"""


class TooFew(Exception):
    pass


class TooMany(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES + ROWS)


# Each of the rows of a kind: 0 of kind 9, 1 of kind 1, 2 of kind 2, 3 of kind 3.
KINDS = {
    "update": lambda kind: update("item", {"name": "z"}, {"kind": kind}),
    "delete": lambda kind: delete("item", {"kind": kind}),
    "select": lambda kind: select("item", ["id"], where={"kind": kind}),
    "lock": lambda kind: select("item", where={"kind": kind}).for_update(),
    "sql": lambda kind: sql("SELECT name FROM item WHERE kind = %(k)s", k=kind),
    "sql that writes": lambda kind: sql("DELETE FROM item WHERE kind = %(k)s", k=kind),
    "sql with": lambda kind: sql(
        "WITH x AS (SELECT * FROM item WHERE kind = %(k)s) SELECT id FROM x", k=kind
    ),
}
GUARDS = {
    "none": ({"rows": 0}, [0]),
    "exactly": ({"rows": 2}, [2]),
    "at most": ({"at_most": 2}, [0, 1, 2]),
    "at least": ({"at_least": 2}, [2, 3]),
}


def expect(statement, *, rows=None, **guard):
    mappings = {}
    if "at_most" not in guard and rows != 0:
        mappings["missing"] = TooFew
    if "at_least" not in guard:
        mappings["unexpected"] = TooMany
    return statement.expect(*([] if rows is None else [rows]), **guard, **mappings)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("guard", "passes"), GUARDS.values(), ids=GUARDS)
def test_expect_raises_missing_for_too_few_rows_and_unexpected_for_too_many(
    planned, observer, kind, guard, passes
):
    for number in (0, 1, 2, 3):
        guarded = expect(kind(number or 9), **guard)
        answer = attempt(planned, gather(insert("log", {"n": 1}), guarded), nested=False)
        if number in passes:
            assert isinstance(answer, Ok), (number, answer.error)
        else:
            error = TooFew if number < min(passes) else TooMany
            assert type(answer.error) is error
            assert answer.report.index == 1
        observer.execute(ROWS)


def test_unexpected_of_expect_none_writes_the_error_from_the_row(planned):
    vpcs = select("item", ["id", "name"], where={"kind": 1})
    text = sql("SELECT id, name FROM item WHERE kind = %(k)s ORDER BY id", k=3)
    refused = format_error(TooMany, "there is {name!r}")
    assert str(attempt(planned, vpcs.expect(0, unexpected=refused)).error) == "there is 'a'"
    answer = attempt(planned, text.expect(0, unexpected=refused, columns=["id"]))
    assert str(answer.error) == "there is 'd'"
    assert answer.report.violation.row == {"id": 4, "name": "d"}
    assert answer.report.violation.rows is None


def test_expect_teaches_unexpected_when_nothing_is_mapped(conn):
    with pytest.raises(GuardFailed, match=r"\.expect\(at_most=1, unexpected=YourError"):
        run(conn, delete("item", {"kind": 3}).expect(at_most=1))
    with pytest.raises(GuardFailed, match=r"unexpected=YourError"):
        run(conn, select("item", ["id"], where={"kind": 3}).expect(0))
    with pytest.raises(GuardFailed, match=r"\.expect\(1, unexpected=YourError"):
        run(conn, delete("item", {"kind": 3}).expect(1))


def test_a_look_at_a_text_that_may_have_effects_runs_it_whole(conn, observer):
    """A function in a select list may be called for its effect, so every row is made."""
    observer.execute("CREATE SEQUENCE taken")
    for look in (
        sql("SELECT nextval('taken') FROM item").expect(at_least=1),
        select("item", [sql("nextval('taken')")], where=sql("true")).expect(at_least=1),
    ):
        observer.execute("SELECT setval('taken', 1, false)")
        run(conn, look)
        assert observer.execute("SELECT last_value FROM taken").fetchone() == (6,)


def test_a_look_for_rows_stops_when_they_are_there(conn):
    for number in (1, 3):
        look = select("item", ["id"], where=sql("true")).expect(at_least=number)
        assert f"LIMIT {number}" in steps(look)[0].sql
        run(conn, look)
    with pytest.raises(GuardFailed, match="guard saw 6 rows, wanted at least 7 rows"):
        run(conn, select("item", ["id"], where=sql("true")).expect(at_least=7))


def test_expect_none_of_a_write_carries_no_row():
    with pytest.raises(InvalidBatch, match=r"expect\(columns="):
        delete("item", {"kind": 1}).expect(0, columns=["name"])
    with pytest.raises(InvalidBatch, match=r"expect\(columns="):
        delete("item", {"kind": 1}).expect(0, unexpected=format_error(TooMany, "{name}"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda row: row.expect(0, missing=TooFew),
        lambda row: row.expect(at_most=1, missing=TooFew),
        lambda row: row.expect(at_least=1, unexpected=TooMany),
        lambda row: row.expect(1, unexpected=format_error(TooMany, "{name}")),
        lambda row: row.expect(1, columns=["name"]),
        lambda row: row.expect(0, columns="name"),
        lambda row: row.expect(0, columns=[7]),
        lambda row: row.expect(0, columns=["name"]).count(),
        lambda row: row.expect(0).one(tuple),
        lambda row: row.expect(0, at_most=1),
        lambda row: row.expect(),
        lambda row: row.expect(-1),
        lambda row: row.expect(at_least=0),
    ],
)
def test_expect_rejects_what_always_holds_or_never_can(ask):
    with pytest.raises(InvalidBatch, match=r"expect\(|columns="):
        ask(select("item", ["id"], where={"id": 1}))


def test_expect_none_that_reports_a_row_takes_no_other_row_guard():
    row = select("item", ["id"], where={"kind": 1})
    refused = format_error(TooMany, "{id}")
    for both in (
        lambda: row.require({"id": 1}).expect(0, unexpected=refused),
        lambda: row.expect(0, unexpected=refused).refuse({"id": 1}),
        lambda: row.expect(0, columns=["id"]).ensure({"id": 1}),
        lambda: row.for_update().require({"id": 1}).expect(0, unexpected=refused),
    ):
        with pytest.raises(InvalidBatch, match=r"expect\(0"):
            both()


def test_second_row_of_maybe_is_not_advised_what_maybe_rejects(conn):
    with pytest.raises(GuardFailed) as caught:
        run(conn, select("item", ["id"], where={"kind": 2}).maybe(tuple))
    assert "expect" not in str(caught.value).partition("nothing was kept")[2]


@pytest.mark.parametrize(
    "judged",
    [
        lambda row: row.require({"name": "d"}, raises=TooMany),
        lambda row: row.refuse({"name": ["e", "f"]}, raises=TooMany),
        lambda row: row.ensure({"name": "d"}, raises=TooMany),
    ],
    ids=["require", "refuse", "ensure"],
)
def test_every_row_is_checked_beside_a_lower_bound(planned, judged):
    """Rows d, e and f: a look that stopped at the first would not see the other two."""
    rows = select("item", ["id", "name"], where={"kind": 3}).expect(at_least=1)
    assert type(attempt(planned, judged(rows)).error) is TooMany
    first = judged(select("item", ["id", "name"], where={"id": 4})).expect(at_least=1)
    assert isinstance(attempt(planned, first), Ok)
