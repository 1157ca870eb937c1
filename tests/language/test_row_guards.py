# SPDX-License-Identifier: MIT
"""``.expect(at_least=1)``, ``.expect(0)`` and ``.for_update()`` of queries that only read."""

from __future__ import annotations

import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    explain,
    gather,
    select,
    sql,
    steps,
)
from tests.support.existence import absent, present

QUERY = select("vpc", ["id", "name"], where={"project_id": 7})
BOTH = pytest.mark.parametrize("guard", [present, absent])


def sent(statement):
    (step,) = steps(statement)
    return step.sql


@BOTH
@pytest.mark.parametrize("text", ["SHOW work_mem", "SELECT 1; SELECT 2", "BEGIN"])
def test_text_that_has_no_rows_is_rejected_before_it_is_sent(guard, text):
    with pytest.raises(InvalidBatch):
        sent(guard(sql(text), raises=ValueError))


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM vpc",
        "UPDATE vpc SET id = 7 RETURNING id",
        "INSERT INTO vpc VALUES (7)",
        "WITH deleted AS (DELETE FROM vpc RETURNING id) SELECT id FROM deleted",
    ],
)
def test_expect_zero_of_a_text_that_writes_counts_all_rows(text):
    assert "LIMIT" not in sent(absent(sql(text), raises=ValueError))


@BOTH
def test_row_count_mapped_to_no_exception_is_rejected(guard):
    for meaning in ("missing", 404, int):
        with pytest.raises(InvalidBatch, match="pass an exception"):
            guard(QUERY, raises=meaning)


def test_the_columns_to_find_are_a_list_of_names():
    for found in ("name", [1], [None], [""], ["na\0me"]):
        with pytest.raises(InvalidBatch):
            sent(sql("SELECT * FROM vpc").expect(0, unexpected=ValueError, columns=found))


def test_expect_zero_with_a_result_shape_is_rejected():
    """If it passes, there is no row: none of these shapes could ever be met."""
    guard = QUERY.expect(0, unexpected=ValueError)
    for ask in (
        lambda: guard.one(tuple),
        lambda: guard.scalar(int),
    ):
        with pytest.raises(InvalidBatch):
            ask()


def test_check_for_rows_reads_one_row_of_the_query():
    text = sql("SELECT id FROM vpc ORDER BY name; -- any")
    for query, guard in ((QUERY, present), (QUERY, absent), (text, absent)):
        text = sent(guard(query, raises=ValueError))
        inner = sent(query).partition(";")[0]
        assert f"SELECT * FROM ({inner}) AS _batchq_probe LIMIT 1" in text


def test_repr_shows_the_guard():
    assert (
        repr(QUERY.expect(at_least=1, missing=ValueError))
        == "<Statement select vpc: at least 1 row>"
    )
    assert repr(QUERY.expect(0, unexpected=ValueError)) == "<Statement select vpc: exactly 0 rows>"
    assert "guard: at least 1 row" in explain(QUERY.expect(at_least=1, missing=ValueError))
    assert "expect(unexpected=...) -> GuardFailed" in explain(
        QUERY.expect(0, unexpected=GuardFailed("x"))
    )


def test_labels_of_the_query_stay_and_may_be_added():
    guard = QUERY.label("vpcs").expect(0, unexpected=ValueError).label("childless")
    (step,) = steps(gather(guard).label("project_delete"))
    assert step.path == "project_delete/childless/vpcs"
    assert step.statement is guard


def test_expect_leaves_the_statement_unchanged():
    QUERY.expect(at_least=1, missing=ValueError)
    assert QUERY._shape.guard is None
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
def test_lock_shows_its_strength(strength, words):
    text = sent(
        select("project", where={"id": 7})
        .for_update(strength=strength)
        .expect(1, missing=ValueError)
    )
    assert f'(SELECT 1 FROM "project" WHERE "id" = $1 {words})' in text


def test_lock_of_one_row_shows_it():
    row = select("project", where={"id": 7}).for_update().expect(1, missing=ValueError)
    assert str(row._shape.guard) == "exactly 1 row"
    assert repr(row) == "<Statement lock project: exactly 1 row>"
    with pytest.raises(InvalidBatch):
        row.maybe(tuple)


def test_lock_of_every_row_or_of_unknown_strength_is_rejected():
    for strength in ("UPDATE", "exclusive", "", None, "update NOWAIT"):
        with pytest.raises(InvalidBatch, match="no key update"):
            select("project", where={"id": 7}).for_update(strength=strength).expect(
                1, missing=ValueError
            )
    with pytest.raises(InvalidBatch, match="every row"):
        select("project", where={}).for_update().expect(1, missing=ValueError)
    with pytest.raises(InvalidBatch, match="pass an exception"):
        select("project", where={"id": 7}).for_update().expect(1, missing="missing")


def test_comment_at_the_end_of_a_condition_keeps_the_lock():
    text = sent(
        select("project", where=sql("id = 7 -- the one")).for_update().expect(1, missing=ValueError)
    )
    assert "FOR UPDATE" in text
