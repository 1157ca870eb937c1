# SPDX-License-Identifier: MIT
"""``.unless({…})``: a row for which the condition holds stays as it is, and the batch continues."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import (
    GuardFailed,
    gather,
    insert,
    param,
    row,
    run,
    select,
    sql,
    steps,
    update,
)
from batchq.conditions import ge, ne
from batchq.engine.abilities import abilities
from batchq.engine.compile.compile import compiled
from batchq.result import Ok, attempt
from batchq.types import Updated
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE disk (id int PRIMARY KEY, state text, instance int, n int DEFAULT 0);
CREATE TABLE log (id int, note text);
INSERT INTO disk VALUES (1, 'attached', 3), (2, 'attached', 4), (3, 'detached', NULL),
                        (4, NULL, 3), (5, NULL, NULL);
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO log VALUES (NEW.id, 'fired'); RETURN NEW;
END$$;
CREATE TRIGGER row_trigger BEFORE UPDATE ON disk FOR EACH ROW EXECUTE FUNCTION fired();
"""
MINE = {"state": "attached", "instance": 3}
BUMP = {**MINE, "n": sql("n + 1")}
CONDITIONS = {
    "columns": (MINE, [1]),
    "null": ({"state": None}, [4, 5]),
    "list with null": ({"instance": [4, None]}, [2, 3, 5]),
    "comparison": ({"instance": ge(4), "state": ne(None)}, [2]),
    "fragment": (sql("instance > %(n)s -- so", n=3), [2]),
    "query": (sql("EXISTS (SELECT FROM log WHERE note = 'seen' AND log.id = disk.instance)"), [2]),
    "several": ([{"state": "attached"}, sql("instance < 4")], [1]),
}


class Missing(Exception):
    pass


class Busy(Unmet):
    pass


class Disk(NamedTuple):
    id: int
    n: int


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def attach(n):
    return (
        update("disk", BUMP, {"id": n})
        .expect(1, missing=Missing)
        .unless(MINE)
        .require({"state": "detached"}, raises=Busy)
    )


@pytest.mark.parametrize(("condition", "left"), CONDITIONS.values(), ids=CONDITIONS)
def test_exactly_the_rows_for_which_the_condition_holds_are_not_written(
    planned, observer, condition, left
):
    observer.execute("INSERT INTO log VALUES (4, 'seen')")
    seen = "SELECT xmin::text, disk::text FROM disk WHERE id = %s"
    for n in range(1, 6):
        before = observer.execute(seen, [n]).fetchone()
        change = update("disk", BUMP, {"id": n}).unless(condition).updated(Disk)
        for _ in range(2):
            answer = run(planned, gather(change, insert("log", {"id": n, "note": "later"})))
            observer.execute("UPDATE disk SET n = n - 1 WHERE id = %s", [n]) if n not in left else 0
            assert answer[0] == Updated(Disk(n, int(n not in left)), n not in left)
            if n not in left:
                break
        assert (observer.execute(seen, [n]).fetchone() == before) == (n in left)
    fired = observer.execute("SELECT DISTINCT id FROM log WHERE note = 'fired' ORDER BY 1")
    assert [n for (n,) in fired] == [n for n in range(1, 6) if n not in left]


def test_conditions_before_it_are_checked_and_those_after_it_skipped(planned):
    def outcome(n, change):
        answer = attempt(planned, change)
        return answer.value if isinstance(answer, Ok) else type(answer.error)

    asked = [attach(n).updated(Disk) for n in (1, 2, 3, 9)]
    assert [outcome(n, each) for n, each in enumerate(asked)] == [
        Updated(Disk(1, 0), changed=False),
        Busy,
        Updated(Disk(3, 1), changed=True),
        Missing,
    ]
    before = update("disk", BUMP, {"id": 1}).refuse({"state": "attached"}, raises=Busy)
    assert outcome(1, before.unless(MINE)) is Busy
    second = update("disk", BUMP, {"id": 1}).unless({"n": 5}).require({"n": 0}, raises=Busy)
    assert outcome(1, second.unless(MINE).require({"n": 1}).updated(Disk)) == Updated(
        Disk(1, 0), changed=False
    )


@pytest.mark.parametrize(
    ("ask", "answers"),
    [
        (lambda s: s, [None, None, GuardFailed]),
        (lambda s: s.expect(at_most=1), [None, None, None]),
        (lambda s: s.one(Disk), [(1, 0), (3, 1), GuardFailed]),
        (lambda s: s.maybe(Disk), [(1, 0), (3, 1), None]),
        (lambda s: s.returning("n").scalar(int), [0, 1, GuardFailed]),
        (lambda s: s.returning("id", "n").one(dict), [{"id": 1, "n": 0}, {"id": 3, "n": 1}]),
        (
            lambda s: s.returning("id", "n").updated(tuple),
            [Updated((1, 0), changed=False), Updated((3, 1), changed=True), GuardFailed],
        ),
        (
            lambda s: s.ensure({"state": "attached"}).updated(Disk),
            [Updated(Disk(1, 0), changed=False), Updated(Disk(3, 1), changed=True), GuardFailed],
        ),
    ],
)
def test_row_that_is_left_counts_and_is_returned_as_it_is(planned, ask, answers):
    for n, expected in zip((1, 3, 9), answers, strict=False):
        change = update("disk", BUMP, {"id": n}).unless(MINE)
        answer = attempt(planned, ask(change))
        assert (answer.value if isinstance(answer, Ok) else type(answer.error)) == expected


def test_ensure_checks_a_row_that_is_left(planned):
    change = update("disk", BUMP, {"id": 1}).unless(MINE).ensure({"n": 7}, raises=Busy)
    assert attempt(planned, change).error.found == {"n": 0}


def test_output_is_of_the_row_as_it_is(planned, observer):
    for n in (1, 3):
        change = update("disk", BUMP, {"id": n}).unless(MINE)
        note = {"id": change.output("n"), "note": change.output("state")}
        run(planned, gather(change, insert("log", note)))
    made = observer.execute("SELECT id, note FROM log WHERE note <> 'fired' ORDER BY 1").fetchall()
    assert made == [(0, "attached"), (1, "attached")]


def test_condition_may_be_of_an_output(planned):
    note = insert("log", {"id": 3, "note": "attached"})
    wanted = {"instance": note.output("id"), "state": note.output("note")}
    for n, changed in (1, False), (3, True):
        change = update("disk", wanted, {"id": n}).unless(wanted).updated(Disk)
        assert run(planned, gather(note, change))[1] == Updated(Disk(n, 0), changed)


def test_privileges_and_policies_are_those_of_an_update_that_returns(conn, observer):
    observer.execute("""
        ALTER TABLE disk ENABLE ROW LEVEL SECURITY; ALTER TABLE disk FORCE ROW LEVEL SECURITY;
        CREATE POLICY seen ON disk FOR SELECT USING (true);
        CREATE POLICY written ON disk FOR UPDATE USING (id <> 3);
        CREATE ROLE unless_writer; GRANT SELECT ON disk TO unless_writer;
        GRANT UPDATE (state) ON disk TO unless_writer; GRANT INSERT ON log TO unless_writer""")
    schema = observer.execute("SELECT current_schema").fetchone()[0]
    observer.execute(f"GRANT USAGE ON SCHEMA {schema} TO unless_writer")
    try:
        conn.execute("SET ROLE unless_writer", prepare=False)
        for n, state, changed in (1, "attached", False), (2, "on", True):
            change = update("disk", {"state": state}, {"id": n}).unless({"state": state})
            assert run(conn, change.updated(Disk)).changed is changed
        hidden = update("disk", {"state": "detached"}, {"id": 3}).unless({"state": "detached"})
        assert attempt(conn, hidden).report.violation.rows == 0
    finally:
        conn.execute("RESET ROLE", prepare=False)
        observer.execute("DROP OWNED BY unless_writer; DROP ROLE unless_writer")


def test_second_row_fails_the_guard_whatever_holds(planned, observer):
    for both in [1, 2], [2, 3], [1, 4]:  # one of them is left, none, both
        change = update("disk", BUMP, {"id": both}).unless({"instance": 3})
        for each in change, change.expect(at_most=1), change.maybe(Disk), change.updated(Disk):
            assert attempt(planned, each).report.violation.rows == 2
    assert observer.execute("SELECT sum(n) FROM disk").fetchone() == (0,)


class Wanted(NamedTuple):
    id: int
    instance: int


def test_declared_bound_and_for_each_row(planned):
    fields, state = row(Wanted), param("state", str)
    wanted = {"instance": fields.instance, "state": state}
    declared = (
        update("disk", wanted, {"id": fields.id})
        .unless(wanted)
        .require({"instance": None}, raises=Busy)
        .updated(Disk)
    )
    attached = declared.partial(state="attached")
    for changed in True, False:
        assert run(planned, attached.each([Wanted(1, 3), Wanted(3, 3)])) == [
            Updated(Disk(1, 0), changed=False),
            Updated(Disk(3, 0), changed=changed),
        ]
    assert run(planned, attached.bind(Wanted(1, 3))) == Updated(Disk(1, 0), changed=False)
    assert run(planned, attached.bind(Wanted(5, 3))) == Updated(Disk(5, 0), changed=True)
    answer = attempt(planned, attached.each([Wanted(1, 3), Wanted(2, 3)]))
    assert (type(answer.error), answer.error.found) == (Busy, {"instance": 4})
    assert answer.report.row_index == 1


def test_table_may_be_partitioned_or_a_view(planned, observer):
    observer.execute("""
        CREATE TABLE part (id int, state text) PARTITION BY LIST (state);
        CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
        CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
        INSERT INTO part VALUES (1, 'a'); CREATE VIEW seen AS SELECT * FROM part WHERE id > 0""")
    for table, to, changed in ("part", "b", True), ("seen", "b", False), ("seen", "a", True):
        move = update(table, {"state": to}, {"id": 1}).unless({"state": to})
        assert run(planned, move.returning("state").updated(tuple)) == Updated((to,), changed)


def test_text_for_a_server_without_record_send():
    shape = attach(1).updated(Disk)._shape
    assert "record_send" not in compiled(shape, (), abilities(binary=False, plain=False)).sql
    assert "record_send" in compiled(shape, (), abilities(plain=False)).sql


def test_it_is_a_write_that_locks_and_reads_no_other_row():
    look = select("log", ["id"], where={"id": 1}).expect(0)
    batch = gather(attach(1), look, insert("log", {"id": 1}))
    assert [step.notes for step in steps(batch)] == [(), (), ()]
    reads = update("disk", BUMP, {"id": 1}).unless(sql("EXISTS (SELECT FROM log)"))
    assert "reads other rows in the statement that writes" in steps(reads)[0].notes[0]
