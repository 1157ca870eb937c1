# SPDX-License-Identifier: MIT
"""INSERT of the rows of a select: what is written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from batchq import InvalidBatch, gather, insert, insert_or_get, param, select, sql, steps, update
from batchq.hierarchy import Parent
from tests.support.row_models import Row

OLD = select("job", ["id", sql("now() AS archived_at")], where={"state": "done"})


def test_text_and_values():
    (step,) = steps(insert("archive", OLD))
    assert step.sql == (
        'INSERT INTO "archive" ("id", "archived_at") '
        'SELECT "id", now() AS archived_at FROM "job" WHERE "state" = $1'
    )
    assert step.parameters == ("done",)
    assert insert("archive", OLD)._shape is insert("archive", OLD)._shape


def test_note_on_its_snapshot():
    (step,) = steps(insert("archive", select("job", ["id"], where={"id": 7})))
    assert any("reads other rows" in note for note in step.notes)


@pytest.mark.parametrize(
    ("rows", "instead"),
    [
        (select("job", where={"id": 7}), "list the columns of the select()"),
        (select("job", ["id", sql("count(*)")], where={"id": 7}), 'write sql("… AS column")'),
        (select("job", [sql("*")], where={"id": 7}), "list the columns"),
        (select("job", ["id", sql("a AS id")], where={"id": 7}), "rename one by AS"),
        (OLD.count(), "add them to the statement around it"),
        (OLD.expect(1), "add them to the statement around it"),
        (sql("SELECT 1"), "or a select(), not a sql() text"),
        (update("job", {"a": 1}, {"id": 7}), "or a select(), not update()"),
        (insert("job", {"a": 1}), "or a select(), not insert()"),
        (gather(OLD), "not a Gathered"),
    ],
)
def test_other_statements_are_refused(rows: Any, instead: str):
    with pytest.raises(InvalidBatch) as info:
        insert("archive", rows)
    assert str(info.value).startswith("insert(")
    assert instead in str(info.value)


def test_patterns_refuse_rows_that_they_cannot_check():
    rows: Any = select("job", ["id"], where={"id": 7})
    with pytest.raises(InvalidBatch, match="pass one row, not a select"):
        insert_or_get("archive", rows, Row, key=["id"])
    org = Parent(table="org", key="id", deleted_at="closed", generation="gen")
    jobs = org.children("archive", by="org_id", deleted_at="closed")
    with pytest.raises(InvalidBatch, match="is not checked to insert children"):
        jobs.add(7, insert("archive", rows), missing=LookupError)


def test_parameters_are_set_and_shown():
    declared = insert("archive", select("job", ["id"], where={"state": param("state", str)}))
    declared = declared.on_conflict_do_update("id", set={"note": param("note", str)})
    half = declared.partial(state=sql("upper('done')"))
    (step,) = steps(half.bind(note="x"))
    assert step.sql.endswith(
        """WHERE "state" = (upper('done')) ON CONFLICT ("id") DO UPDATE SET "note" = $1"""
    )
    assert step.parameters == ("x",)
