# SPDX-License-Identifier: MIT
"""What COMMIT reports: traced to the step that declared it, and to no step if several did."""

from __future__ import annotations

import psycopg
import pytest

from batchq import (
    BatchError,
    InvariantViolation,
    Outcome,
    SerializationConflict,
    UnmappedViolation,
    foreign_key,
    gather,
    insert,
    run,
    sequence,
    sql,
    sqlstate,
    unique,
    update,
)

TABLES = """
CREATE TABLE parent (id int CONSTRAINT parent_pkey PRIMARY KEY);
CREATE TABLE child (
    parent int CONSTRAINT child_parent_fkey REFERENCES parent DEFERRABLE INITIALLY DEFERRED,
    place int CONSTRAINT child_place_key UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1, 1);
"""


class Taken(Exception):
    pass


class Missing(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)


@pytest.fixture
def report(conn):
    """Run a batch that has to fail at COMMIT; what was raised, and the report."""

    def failed(batch):
        before = conn.execute("SELECT count(*) FROM child").fetchone()
        with pytest.raises((BatchError, Taken, Missing)) as caught:
            run(conn, batch)
        error = caught.value
        found = error if isinstance(error, BatchError) else error.__cause__
        assert found.outcome is Outcome.ROLLED_BACK
        assert isinstance(found.__cause__, psycopg.Error)
        assert conn.execute("SELECT count(*) FROM child").fetchone() == before
        return error, found

    return failed


def orphan(place: int = 7):
    return insert("child", {"parent": 99, "place": place})


def twin():
    return insert("child", {"parent": 1, "place": 1})


@pytest.mark.parametrize(
    ("broken", "matcher", "code"),
    [
        (orphan, foreign_key("child_parent_fkey"), "23503"),
        (twin, unique("child_place_key"), "23505"),
    ],
)
def test_deferred_violation_is_traced_to_the_step_that_mapped_it(report, broken, matcher, code):
    declaring = broken().on(matcher, Taken)
    error, found = report(gather(insert("parent", {"id": 2}), declaring.label("late"), twin()))
    assert type(error) is Taken
    assert (found.index, found.path) == (1, "late")
    assert found.candidates == ()
    assert "COMMIT" in str(found)
    assert found.violation.sqlstate == code
    assert (found.violation.constraint, found.violation.table) == (matcher.name, "child")


def test_deferred_violation_names_the_statement_that_mapped_it(report):
    declaring = orphan().invariant("child_parent_fkey")
    error, found = report(gather(insert("parent", {"id": 2}), declaring))
    assert type(error) is InvariantViolation
    assert found.statement is declaring


def test_deferred_violation_that_no_step_mapped_names_no_step(report):
    error, found = report(gather(insert("parent", {"id": 2}), orphan()))
    assert type(error) is UnmappedViolation
    assert (found.step, found.candidates) == (None, ())
    assert "child_parent_fkey" in str(error)
    assert "COMMIT" in str(error)


def test_deferred_violation_that_no_step_mapped_suggests_a_mapping(report):
    error, _ = report(gather(insert("parent", {"id": 2}), orphan()))
    assert '.on(foreign_key("child_parent_fkey"), ' in str(error)


def test_deferred_violation_that_two_steps_mapped_names_no_step(report):
    first = orphan(5).on(foreign_key("child_parent_fkey"), Missing).label("first")
    second = orphan(6).on(foreign_key("child_parent_fkey"), Taken).label("second")
    error, found = report(gather(first, insert("parent", {"id": 2}), second))
    assert type(error) is UnmappedViolation
    assert (found.step, found.statement, found.index, found.path) == (None, None, None, None)
    assert [step.statement for step in found.candidates] == [first, second]
    assert [step.index for step in found.candidates] == [0, 2]
    text = str(error)
    assert "first" in text
    assert "second" in text
    assert '.on(foreign_key("child_parent_fkey"), ' in text


def test_one_mapping_around_all_who_declared_it_is_certain(report):
    own = [orphan(n).on(foreign_key("child_parent_fkey"), Taken) for n in (5, 6)]
    error, found = report(sequence(own).on(foreign_key("child_parent_fkey"), Missing))
    assert type(error) is Missing
    assert found.step is None
    assert len(found.candidates) == 2


def test_the_context_of_several_steps_is_the_one_around_them_all(report):
    own = [gather(orphan(n)).as_invariant(f"inner {n}") for n in (5, 6)]
    whole = sequence(own).on(foreign_key("child_parent_fkey"), Missing).as_invariant("outer")
    error, found = report(whole)
    assert (type(error), found.step, found.context) == (InvariantViolation, None, "outer")


def test_one_mapping_around_some_of_those_who_declared_it_is_not(report):
    inside = gather(orphan(5), orphan(6)).on(foreign_key("child_parent_fkey"), Missing)
    outside = orphan(8).on(foreign_key("child_parent_fkey"), Taken)
    error, found = report(gather(inside, outside))
    assert type(error) is UnmappedViolation
    assert found.step is None
    assert 2 in {step.index for step in found.candidates}


def test_one_statement_in_two_places_means_the_same_in_both(report):
    twice = orphan().on(foreign_key("child_parent_fkey"), Missing)
    error, found = report(gather(twice, twice))
    assert type(error) is Missing
    assert found.step is None


def test_violation_of_a_step_is_not_taken_for_one_of_commit(report):
    declaring = orphan().on(unique("parent_pkey"), Missing)
    error, found = report(gather(declaring, insert("parent", {"id": 1})))
    assert type(error) is UnmappedViolation
    assert found.index == 1


def test_constraint_that_is_repaired_before_commit_does_not_fail(conn):
    run(conn, gather(orphan(), insert("parent", {"id": 99}), twin(), sql("DELETE FROM child")))
    assert conn.execute("SELECT count(*) FROM child").fetchone() == (0,)


def test_a_swap_within_one_batch_is_possible_under_a_deferred_unique(conn):
    conn.execute("INSERT INTO child VALUES (1, 2)")
    away = update("child", {"place": 2}, {"place": 1})
    back = sql("UPDATE child SET place = 1 WHERE ctid = (SELECT min(ctid) FROM child)")
    run(conn, gather(away, back))
    assert sorted(conn.execute("SELECT place FROM child")) == [(1,), (2,)]


def test_a_raise_at_commit_is_mapped_by_its_sqlstate(conn, report):
    conn.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'not %', NEW.id USING ERRCODE = 'ZZ001'; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    step = insert("parent", {"id": 2}).on(sqlstate("ZZ001"), Missing)
    error, found = report(gather(step, insert("child", {"parent": 1, "place": 3})))
    assert type(error) is Missing
    assert found.statement is step


def test_conflict_at_commit_is_a_conflict_whatever_caused_it(conn, report):
    conn.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE serialization_failure; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    error, found = report(gather(insert("parent", {"id": 2})))
    assert type(error) is SerializationConflict
    assert found.step is None
