# SPDX-License-Identifier: MIT
"""What ``steps()`` notes about a look at other rows hangs on what is locked before it."""

from __future__ import annotations

import pytest

from batchq import delete, explain, gather, insert, select, sql, steps, update
from batchq.hierarchy import Parent
from batchq.language.sql_template import sql_template
from tests.support.row_models import Attrs, Named
from tests.support.titles import title

VPCS = select("vpc", ["name"], where={"project_id": 1})
CHILDLESS = sql("id = 1 AND NOT EXISTS (SELECT FROM vpc WHERE project_id = 1)")
ENDING = update("project", {"ended": True}, CHILDLESS)
END = update("project", {"ended": True}, {"id": 1})
BUMP = update("project", {"gen": sql("gen + 1")}, {"id": 1})
PROJECT = select("project", ["id"], where={"id": 1})
WITHIN = sql_template("WITH found AS ({rows}) SELECT 1")

LOCKS = {
    "for_update()": PROJECT.for_update().expect(1, missing=KeyError),
    "for_update(), shared": select("project", where={"id": 1})
    .for_update(strength="share")
    .expect(1, missing=KeyError),
    "a guarded update": BUMP.expect(1, missing=KeyError),
    "a guarded delete": delete("vpc", {"id": 1}).expect(at_least=1),
    "FOR UPDATE": sql("SELECT id FROM project WHERE id = 1 FOR UPDATE"),
    "for no key update": sql("select id from project for no  key\nupdate of project"),
    "FOR KEY SHARE": sql("SELECT id FROM project FOR KEY SHARE"),
    "LOCK TABLE": sql("LOCK TABLE project IN SHARE MODE"),
    "FOR UPDATE inside a text": WITHIN.fill(rows=PROJECT.for_update()),
    "an advisory lock": sql("SELECT pg_advisory_xact_lock(7)"),
}
NO_LOCKS = {
    "a select": select("project", ["id"], where={"id": 1}),
    "a select inside a text": WITHIN.fill(rows=PROJECT),
    "an update of what may not be there": BUMP,
    "an update of at most one": BUMP.expect(at_most=1),
    "an insert": insert("project", {"id": 2}),
    "FOR UPDATE in a text": sql("SELECT 'FOR UPDATE' AS x -- FOR SHARE\n /* LOCK */"),
    "expect(at_least=1)": VPCS.expect(at_least=1, missing=KeyError),
}
LOOKS = {
    "expect(0)": VPCS.expect(0, unexpected=ValueError),
    "expect(at_least=1)": VPCS.expect(at_least=1, missing=KeyError),
    "expect(0) of sql()": sql("SELECT 1 FROM vpc").expect(0, unexpected=ValueError),
}
WRITES = {
    "update": END,
    "update inside a text": WITHIN.fill(rows=END),
    "update of a text inside another": WITHIN.fill(rows=WITHIN.fill(rows=END)),
    "delete": delete("project", {"id": 1}),
    "insert": insert("vpc", {"id": 1}),
    "sql": sql("DELETE FROM project"),
    "merge": sql("MERGE INTO project USING vpc ON true WHEN MATCHED THEN DELETE"),
    "a common table expression": sql("WITH x AS (INSERT INTO vpc VALUES (1)) SELECT 1"),
}


def notes(batch, index):
    return steps(batch)[index].notes


@pytest.mark.parametrize("held", LOCKS.values(), ids=LOCKS)
def test_write_that_reads_has_a_note_unless_a_lock_precedes_it(held):
    assert notes(gather(held, ENDING), 1) == ()
    assert "note:" not in explain(gather(held, ENDING))
    (note,) = notes(gather(ENDING, held), 0)
    assert "for_update()" in note


@pytest.mark.parametrize("other", NO_LOCKS.values(), ids=NO_LOCKS)
def test_statement_without_a_lock_keeps_the_note(other):
    assert len(notes(gather(other, ENDING), 1)) == 1


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_check_before_a_write_has_a_note_unless_a_lock_precedes_it(look, write):
    (note,) = notes(gather(look, write), 0)
    assert "for_update()" in note
    assert f"note: {note}" in explain(gather(look, write))
    for held in LOCKS.values():
        assert notes(gather(held, look, write), 1) == ()
    assert notes(gather(write, look), 1) == () or write._shape.guard is None


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_check_without_a_later_write_has_no_note(look):
    assert notes(look, 0) == ()
    assert notes(gather(look, VPCS), 0) == ()
    assert notes(gather(look, sql("SELECT id FROM project FOR UPDATE")), 0) == ()
    assert notes(gather(END.expect(1), look), 1) == ()


def test_hierarchy_locks_before_it_checks():
    project = Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
    vpcs = project.children("vpc", by="project_id", deleted_at="time_deleted")
    batch = project.delete(1, missing=KeyError, guards=[vpcs.forbid(1, unexpected=ValueError)])
    assert [step.notes for step in steps(batch)] == [()] * len(steps(batch))
    added = vpcs.add(1, insert("vpc", {"project_id": 1}), missing=KeyError)
    assert [step.notes for step in steps(added)] == [(), ()]


SUBSELECT = sql("EXISTS (SELECT FROM vpc WHERE vpc.project_id = project.id)")


@pytest.mark.parametrize(
    "locked",
    [
        select("project", where=[{"id": 1}, SUBSELECT]).for_update(),
        select("project", where={"id": 1}).for_update().refuse(SUBSELECT, raises=KeyError),
        select("project", where={"id": 1}).for_update().require(SUBSELECT, raises=KeyError),
    ],
    ids=["where", "refuse", "require"],
)
def test_lock_whose_condition_reads_other_rows_has_a_note(locked):
    (note,) = notes(gather(locked, END), 0)
    assert "the row that it locks" in note


def test_lock_whose_conditions_are_on_its_own_row_has_no_note():
    locked = select("project", where={"id": 1}).for_update()
    for row in (locked, locked.require({"ended": False}).refuse({"gen": [1, 2]})):
        assert notes(gather(row, END), 0) == ()


# -- writes that read other rows -------------------------------------------------------------------

OTHERS = "EXISTS (SELECT 1 FROM u WHERE u.id = t.id)"
READING = {
    "update by a subselect": update("t", {"a": 1}, sql(f"NOT {OTHERS}")),
    "update to a subselect": update("t", {"a": sql("(SELECT max(b) FROM u)")}, {"b": 2}),
    "delete by a subselect": delete("t", sql(OTHERS)),
    "value of a subselect": update("t", {"a": 1}, {"b": sql("(SELECT max(b) FROM u)")}),
    "require of a subselect": update("t", {"a": 1}, {"b": 2}).require(sql(OTHERS), raises=KeyError),
    "ensure of a subselect": update("t", {"a": 1}, {"b": 2}).ensure(
        {"a": sql("(SELECT max(b) FROM u)")}, raises=KeyError
    ),
    "sql update": sql(f"UPDATE t SET a = 1 WHERE NOT {OTHERS}"),
    "sql update, guarded": sql(f"UPDATE t SET a = 1 WHERE NOT {OTHERS}").expect(1),
    "update from": sql("UPDATE t SET a = 1 FROM u WHERE u.id = t.id AND u.ok"),
    "delete using": sql("DELETE FROM t USING u WHERE u.id = t.id"),
    "merge": sql("MERGE INTO t USING u ON u.id = t.id WHEN MATCHED THEN DELETE"),
    "insert of a select": sql("INSERT INTO t SELECT id FROM u WHERE ok"),
    "insert of a table": sql("INSERT INTO t TABLE u"),
    "write by a cte": sql("WITH x AS (SELECT id FROM u) DELETE FROM t WHERE id = ANY (TABLE x)"),
    "cte that writes": sql(
        "WITH x AS (UPDATE t SET a = 1 RETURNING id) INSERT INTO u SELECT id FROM x"
    ),
    "cte that writes what it reads": sql(
        "WITH x AS (DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM u) RETURNING id) SELECT * FROM x"
    ),
}
NOT_READING = {
    "insert": insert("t", {"a": 1}),
    "update": update("t", {"a": sql("a + 1")}, {"b": 2}),
    "update, guarded": update("t", {"a": 1}, {"b": 2}).expect(1),
    "update, required": update("t", {"a": 1}, {"b": 2}).require({"c": 3}, raises=KeyError),
    "update, checked": update("t", {"a": 1}, {"b": 2}).ensure({"c": 3}, raises=KeyError),
    "delete": delete("t", sql("b < now()")),
    "lock": select("t", where={"b": 2}).for_update().expect(1, missing=KeyError),
    "select by a subselect": select("t", ["a"], where=sql(OTHERS)),
    "sql select": sql("SELECT (SELECT 1) FROM (SELECT 2) AS x"),
    "select for update": sql(f"SELECT a FROM t WHERE {OTHERS} FOR UPDATE"),
    "expect(at_least=1)": sql(f"SELECT 1 FROM t WHERE {OTHERS}").expect(
        at_least=1, missing=KeyError
    ),
    "expect(0)": select("t", ["a"], where=sql(OTHERS)).expect(0, unexpected=KeyError),
    "words in quotes": update("t", {"a": sql("'SELECT FROM u'")}, {"select": 2, "from": 3}),
    "words in a comment": sql("UPDATE t SET a = 1 -- SELECT a FROM u"),
    "upsert": sql("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b"),
    "from of a function": sql("UPDATE t SET a = extract(year FROM b), c = substring(d FROM 2)"),
    "is distinct from": sql("DELETE FROM t WHERE a IS DISTINCT FROM 1"),
    "column called like a command": sql('SELECT ("delete") FROM (SELECT 1 AS "delete") AS x'),
}


@pytest.mark.parametrize("statement", READING.values(), ids=READING)
def test_explain_notes_a_write_that_reads_other_rows(statement):
    """A condition on them is judged by what may be an older snapshot than the row's."""
    (note,) = steps(statement)[0].notes
    assert "for_update()" in note
    assert f"note: {note}" in explain(statement)


@pytest.mark.parametrize("statement", NOT_READING.values(), ids=NOT_READING)
def test_explain_has_no_note_for_a_write_that_reads_its_own_row(statement):
    assert steps(statement)[0].notes == ()
    assert "note:" not in explain(statement)


# -- columns that are unknown ----------------------------------------------------------------------

UNKNOWN = [
    sql("INSERT INTO t DEFAULT VALUES RETURNING *").one(Named),
    sql("SELECT id, name FROM t").all(Attrs),
    select("t", [sql("*")], where={"b": 1}).maybe(Named),
    select("t", ["id", sql("upper(n)")], where={"b": 1}).one(Named),
    sql("SELECT sum(n) FROM t").scalar(int),
    select("t", [sql("sum(n)")], where={"b": 1}).scalar(int),
]


@pytest.mark.parametrize("statement", UNKNOWN, ids=title)
def test_unknown_columns_are_noted(statement):
    (note,) = steps(statement)[0].notes
    assert "after COMMIT" in note
    assert f"note: {note}" in explain(statement)


@pytest.mark.parametrize(
    "statement",
    [
        sql("SELECT 1").one(tuple),
        sql("SELECT 1").all(lambda row: row),
        sql("SELECT 1").count(),
        select("t", ["n"], where={"b": 1}).scalar(int),
        insert("t", {"a": 1}).returning("id").scalar(int),
        insert("t", {"a": 1}).one(Named),
    ],
    ids=title,
)
def test_known_columns_are_not_noted(statement):
    assert steps(statement)[0].notes == ()
