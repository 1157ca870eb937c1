# SPDX-License-Identifier: MIT
"""``require()``, ``forbid()`` and ``lock()``: what they take and refuse, and how they read."""

from __future__ import annotations

import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    check,
    delete,
    forbid,
    gather,
    insert,
    lock,
    require,
    select,
    sql,
    update,
)

QUERY = select("vpc", ["id", "name"], where={"project_id": 7})
BOTH = pytest.mark.parametrize("guard", [require, forbid])


def sent(statement):
    (step,) = statement.steps()
    return step.sql


@BOTH
@pytest.mark.parametrize(
    "query",
    [
        QUERY.one(tuple),
        QUERY.all(tuple),
        QUERY.count(),
        QUERY.expect(1),
        QUERY.on(check("k"), ValueError),
        QUERY.internal("k"),
        QUERY.require({"name": "web"}, else_=ValueError),
        QUERY.check("name", "web", else_=ValueError),
        lock("vpc", {"id": 7}, missing=ValueError),
        require(QUERY, else_=ValueError),
        forbid(QUERY, else_=ValueError),
        insert("vpc", {"id": 7}),
        update("vpc", {"id": 7}, {"id": 7}),
        delete("vpc", {"id": 7}),
        sql("SELECT 1").scalar(int),
        gather(QUERY),
        QUERY.map(str),
        "SELECT 1",
        None,
    ],
    ids=str,
)
def test_they_take_a_bare_query_and_nothing_else(guard, query):
    with pytest.raises(InvalidBatch, match=rf"{guard.__name__}\(\) takes a bare select"):
        guard(query, else_=ValueError)


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM vpc",
        "UPDATE vpc SET id = 7 RETURNING id",
        "INSERT INTO vpc VALUES (7)",
        "WITH gone AS (DELETE FROM vpc RETURNING id) SELECT id FROM gone",
        "SHOW work_mem",
        "SELECT 1; SELECT 2",
        "BEGIN",
    ],
)
def test_a_text_that_does_not_only_select_is_refused_before_it_is_sent(guard, text):
    with pytest.raises(InvalidBatch):
        sent(guard(sql(text), else_=ValueError))


@BOTH
def test_what_is_no_exception_is_refused(guard):
    for meaning in ("gone", 404, int):
        with pytest.raises(InvalidBatch, match="takes an exception"):
            guard(QUERY, else_=meaning)


def test_the_columns_to_find_are_a_list_of_names():
    for found in ("name", [1], [None], [""], ["na\0me"]):
        with pytest.raises(InvalidBatch):
            sent(forbid(sql("SELECT * FROM vpc"), else_=ValueError, found=found))


def test_a_forbid_has_no_rows_to_ask_for():
    """There is none where it passes: any of these could never hold."""
    guard = forbid(QUERY, else_=ValueError)
    for ask in (
        lambda: guard.one(tuple),
        lambda: guard.scalar(int),
        lambda: guard.expect(1),
        lambda: guard.expect(at_least=1),
        lambda: guard.require({"name": "web"}, else_=ValueError),
    ):
        with pytest.raises(InvalidBatch):
            ask()


@BOTH
def test_one_row_of_the_query_is_looked_at(guard):
    for query in (QUERY, sql("SELECT id FROM vpc ORDER BY name; -- any")):
        text = sent(guard(query, else_=ValueError))
        inner = sent(query).partition(";")[0]
        assert f"SELECT * FROM ({inner}) AS _batchq_probe LIMIT 1" in text


def test_they_say_what_they_are():
    assert repr(require(QUERY, else_=ValueError)) == "<Statement select vpc: at least 1 row>"
    assert repr(forbid(QUERY, else_=ValueError)) == "<Statement select vpc: forbid(...)>"
    assert "guard: at least 1 row" in require(QUERY, else_=ValueError).explain()
    assert "forbid(...) -> GuardFailed" in forbid(QUERY, else_=GuardFailed("x")).explain()


def test_labels_of_the_query_stay_and_may_be_added():
    guard = forbid(QUERY.label("vpcs"), else_=ValueError).label("childless")
    (step,) = gather(guard).label("project_delete").steps()
    assert step.path == "project_delete/childless/vpcs"
    assert step.statement is guard


def test_the_statement_it_was_made_of_stays_what_it_is():
    require(QUERY, else_=ValueError)
    assert QUERY.guard is None
    assert "LIMIT" not in sent(QUERY)


@pytest.mark.parametrize(
    ("strength", "words"),
    [
        ("update", "FOR UPDATE"),
        ("no key update", "FOR NO KEY UPDATE"),
        ("share", "FOR SHARE"),
        ("key share", "FOR KEY SHARE"),
    ],
)
def test_a_lock_says_its_strength(strength, words):
    text = sent(lock("project", {"id": 7}, missing=ValueError, strength=strength))
    assert f'(SELECT 1 FROM "project" WHERE "id" = $1 {words})' in text


def test_a_lock_is_of_exactly_one_row_and_says_so():
    row = lock("project", {"id": 7}, missing=ValueError)
    assert str(row.guard) == "exactly 1 row"
    assert repr(row) == "<Statement lock project: exactly 1 row>"
    with pytest.raises(InvalidBatch):
        row.maybe(tuple)


def test_a_lock_of_every_row_or_of_unknown_strength_is_refused():
    for strength in ("UPDATE", "exclusive", "", None, "update NOWAIT"):
        with pytest.raises(InvalidBatch, match="no key update"):
            lock("project", {"id": 7}, missing=ValueError, strength=strength)
    with pytest.raises(InvalidBatch, match="every row"):
        lock("project", {}, missing=ValueError)
    with pytest.raises(InvalidBatch, match="takes an exception"):
        lock("project", {"id": 7}, missing="gone")


def test_a_comment_at_the_end_of_a_fragment_does_not_swallow_the_lock():
    text = sent(lock("project", sql("id = 7 -- the one"), missing=ValueError))
    assert "FOR UPDATE" in text
