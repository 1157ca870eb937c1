# SPDX-License-Identifier: MIT
"""A step that alone declares a deferred constraint is not to blame for another step's key or table.

Its declaration stands where nothing that the server names speaks against it.
"""

from __future__ import annotations

import pytest

from batchq import (
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    delete,
    exclusion,
    foreign_key,
    gather,
    insert,
    run,
    select,
    sql,
    steps,
    unique,
    update,
)
from batchq.result import attempt
from batchq.testing import proxy
from tests.support.clients import SyncClient

pytestmark = pytest.mark.postgres_only("constraints are never deferred there")

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, name text, CONSTRAINT a_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE parent (id int PRIMARY KEY, name text);
CREATE TABLE one (n text, id int CONSTRAINT own_fk REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE two (id int CONSTRAINT own_fk REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE x (k int, CONSTRAINT x_k EXCLUDE USING btree (k WITH =) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE log (name text);
INSERT INTO a VALUES (1, 'taken');
INSERT INTO parent VALUES (1, 'first'), (2, 'second');
INSERT INTO two VALUES (2);
INSERT INTO x VALUES (1);
"""  # noqa: E501


class Declared(Exception):
    pass


class Around(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(request):
    if "conn" in request.fixturenames:
        request.getfixturevalue("conn").execute(TABLES)


NAME, OWN = unique("a_name"), foreign_key("own_fk")
FREE, TAKEN = insert("a", {"id": 2, "name": "free"}), insert("a", {"id": 3, "name": "taken"})
TAKEN_IN_SQL = sql("INSERT INTO a VALUES (3, 'taken')")
ORPHAN, ORPHAN_IN_SQL = insert("two", {"id": 99}), sql("INSERT INTO two VALUES (99)")

CULPRITS = {
    "another key": (NAME, FREE, TAKEN),
    "a key that is set by an update": (
        NAME,
        FREE,
        gather(insert("a", {"id": 4, "name": None}), update("a", {"name": "taken"}, {"id": 4})),
    ),
    "another table": (OWN, insert("one", {"n": "x"}), ORPHAN),
    "another table and key": (OWN, insert("one", {"id": 1}), ORPHAN),
    "a delete of a parent": (OWN, insert("two", {"id": 1}), delete("parent", {"id": 2})),
}


@pytest.mark.parametrize("case", CULPRITS)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_step_with_the_key_is_named_though_another_step_maps_it(conn, case, turned):
    matcher, innocent, guilty = CULPRITS[case]
    parts = [innocent.on(matcher, Declared("x")), guilty]
    failed = attempt(conn, gather(*(reversed(parts) if turned else parts))).error
    assert type(failed) is UnmappedViolation
    assert failed.outcome is Outcome.ROLLED_BACK
    assert failed.statement in [step.statement for step in steps(guilty)]
    assert failed.candidates == ()
    assert "the key in DETAIL is that of this step alone" in str(failed)
    assert "This step maps nothing." in str(failed)
    assert "taken" not in str(failed)


def test_no_invariant_of_a_step_is_broken_by_another_one(conn):
    failed = attempt(conn, gather(FREE.invariant("a_name"), TAKEN)).error
    assert type(failed) is UnmappedViolation
    assert failed.statement is TAKEN


def test_mapping_around_all_steps_applies_to_the_named_step_too(conn):
    with pytest.raises(Around) as caught:
        run(conn, gather(FREE.on(NAME, Declared), TAKEN).on(NAME, Around("y")))
    assert caught.value.__cause__.statement is TAKEN
    inside = gather(gather(FREE.on(NAME, Declared)), TAKEN.invariant("a_name"))
    assert type(attempt(conn, inside).error) is InvariantViolation


def test_several_that_declare_it_alike_are_innocent_together(conn):
    both = gather(FREE, insert("a", {"id": 5, "name": "other"})).on(NAME, Declared("x"))
    failed = attempt(conn, gather(both, TAKEN)).error
    assert type(failed) is UnmappedViolation
    assert failed.statement is TAKEN


MAYBES = {
    "another key": (NAME, FREE, TAKEN_IN_SQL),
    "another table": (OWN, insert("one", {"n": "x"}), ORPHAN_IN_SQL),
    "an update of another table": (NAME, update("one", {"id": 1}, {"n": "x"}), TAKEN_IN_SQL),
    "another table of an exclusion": (
        exclusion("x_k"),
        insert("a", {"id": 9}),
        insert("x", {"k": 1}),
    ),
}


@pytest.mark.parametrize("case", MAYBES)
def test_innocent_step_is_not_named_if_only_the_server_knows_the_other(conn, case):
    matcher, innocent, maybe = MAYBES[case]
    failed = attempt(conn, gather(innocent.on(matcher, Declared("x")), maybe)).error
    assert type(failed) is UnmappedViolation
    assert failed.step is None
    assert [step.statement for step in failed.candidates] == [maybe]
    assert "no step that declares it writes" in str(failed)
    assert f".on({matcher}, YourError(...))" in str(failed)


def test_two_that_may_be_it_are_both_named(conn):
    null = sql("UPDATE a SET id = 9 WHERE id = 77")
    failed = attempt(conn, gather(FREE.on(NAME, Declared("x")), TAKEN_IN_SQL, null)).error
    assert type(failed) is UnmappedViolation
    assert [step.statement for step in failed.candidates] == [TAKEN_IN_SQL, null]
    around = gather(FREE.on(NAME, Declared("x")), TAKEN_IN_SQL, null).on(NAME, Around("y"))
    assert type(attempt(conn, around).error) is UnmappedViolation


def test_suspect_is_not_named_for_a_key_of_another_step(conn):
    maybe = sql("INSERT INTO a VALUES (2, 'free')")
    failed = attempt(conn, gather(maybe.on(NAME, Declared("x")), TAKEN)).error
    assert type(failed) is UnmappedViolation
    assert [step.index for step in failed.candidates] == [0, 1]
    assert "a step that does not declare it writes the key in DETAIL" in str(failed)


STANDS = {
    "its own key": (NAME, TAKEN, [FREE]),
    "its own key, and another's": (NAME, TAKEN, [insert("a", {"id": 5, "name": "taken"})]),
    "SQL of its own": (NAME, TAKEN_IN_SQL, [FREE]),
    "SQL on both sides": (NAME, TAKEN_IN_SQL, [sql("INSERT INTO a VALUES (2, 'free')")]),
    "no other step": (NAME, insert("a", {"id": 3, "name": sql("'taken'")}), []),
    "only readers beside it": (NAME, TAKEN, [select("a", ["id"], where={"id": 1}).scalar(int)]),
    "its own table": (OWN, ORPHAN, [insert("one", {"id": 1})]),
    "SQL on its own table": (OWN, ORPHAN_IN_SQL, [insert("one", {"id": 1})]),
    "a delete of the parent": (OWN, delete("parent", {"id": 2}), [insert("two", {"id": 1})]),
    "of the parent by another column": (
        OWN,
        delete("parent", {"name": "second"}),
        [insert("two", {"id": 1}), sql("INSERT INTO log VALUES ('x')")],
    ),
    "an exclusion": (exclusion("x_k"), insert("x", {"k": 1}), [insert("x", {"k": 2})]),
}


@pytest.mark.parametrize("case", STANDS)
def test_a_declaration_stands_where_nothing_speaks_against_it(conn, case):
    matcher, guilty, others = STANDS[case]
    with pytest.raises(Declared) as caught:
        run(conn, gather(*others, guilty.on(matcher, Declared("x"))))
    assert caught.value.__cause__.statement._shape.source is guilty._shape.source


def test_step_whose_trigger_writes_the_row_is_not_cleared_by_its_table(conn):
    conn.execute(
        "CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO a VALUES (7, NEW.name); RETURN NEW; END $$;"
        "CREATE TRIGGER copy AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION copy()"
    )
    logged = insert("log", {"name": "taken"}).on(NAME, Declared("x"))
    with pytest.raises(Declared):
        run(conn, gather(FREE, logged, sql("INSERT INTO parent VALUES (9)")))


def test_a_step_that_deletes_by_cascade_is_not_innocent_by_its_key(conn):
    conn.execute(
        "CREATE TABLE top (id int PRIMARY KEY); INSERT INTO top VALUES (5);"
        "ALTER TABLE parent ADD top int REFERENCES top ON DELETE CASCADE;"
        "UPDATE parent SET top = 5 WHERE id = 2"
    )
    cascading = delete("top", {"id": 5}).on(OWN, Declared("x"))
    with pytest.raises(Declared):
        run(conn, gather(cascading, sql("INSERT INTO log VALUES ('x')")))


RENAMES = (
    "CREATE FUNCTION renames() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN NEW.name := replace(NEW.name, 'old', 'taken'); RETURN NEW; END $$;"
    "CREATE TRIGGER renames BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION renames()"
)


@pytest.mark.parametrize("other", [TAKEN, TAKEN_IN_SQL], ids=["builder", "SQL"])
def test_key_that_a_trigger_may_have_written_names_no_step(conn, other):
    conn.execute(RENAMES)
    for mine in (FREE, insert("a", {"id": 2, "name": "old"})):
        failed = attempt(conn, gather(mine.on(NAME, Declared("x")), other)).error
        assert type(failed) is UnmappedViolation
        assert failed.step is None
        assert [step.index for step in failed.candidates] == [0, 1]
        assert "a trigger, a rule or a view may have written it" in str(failed)


def test_a_trigger_is_the_declarers_own_where_no_other_step_may_be_it(conn):
    conn.execute(RENAMES)
    mine = insert("a", {"id": 2, "name": "old"}).on(NAME, Declared("x"))
    with pytest.raises(Declared):
        run(
            conn,
            gather(
                mine,
                select("a", ["id"], where={"id": 1}).scalar(int),
                insert("a", {"id": 9, "name": "free"}),
            ),
        )


@pytest.mark.parametrize("guilty", ["builder", "SQL"])
def test_a_table_of_the_same_name_in_another_schema_is_another_table(conn, guilty):
    schema = conn.execute("SELECT 'other_' || current_schema()").fetchone()[0]
    conn.execute(
        f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.a (name text, id int,"
        f" CONSTRAINT a_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED)"
    )
    try:
        innocent = insert(f"{schema}.a", {"name": "taken"}).on(NAME, Declared("x"))
        other = TAKEN if guilty == "builder" else TAKEN_IN_SQL
        failed = attempt(conn, gather(innocent, other)).error
        assert type(failed) is UnmappedViolation
        assert failed.index == (1 if guilty == "builder" else None)
        with pytest.raises(Declared):
            run(conn, gather(insert(f"{schema}.a", {"name": "taken"}), TAKEN.on(NAME, Declared)))
    finally:
        conn.execute(f"DROP SCHEMA {schema} CASCADE")


def test_partition_is_not_taken_for_another_table(conn):
    conn.execute(
        "CREATE TABLE note (k int, CONSTRAINT note_k UNIQUE (k) DEFERRABLE INITIALLY DEFERRED)"
        " PARTITION BY RANGE (k);"
        "CREATE TABLE note_a PARTITION OF note FOR VALUES FROM (0) TO (10);"
        "INSERT INTO note VALUES (7)"
    )
    declared, others = unique("note_k"), sql("INSERT INTO log VALUES ('x')")
    for key in (7, sql("3 + 4")):
        with pytest.raises(Declared):
            run(conn, gather(insert("note", {"k": key}).on(declared, Declared("x")), others))
    innocent = insert("note", {"k": 6}).on(declared, Declared("x"))
    failed = attempt(conn, gather(innocent, insert("note", {"k": 7}))).error
    assert type(failed) is UnmappedViolation
    assert failed.index == 1


def test_the_server_is_asked_only_where_its_answer_decides(database, conn):
    with proxy(database) as link, SyncClient(link.conninfo()) as client:
        for batch, syncs in (
            (gather(FREE, TAKEN.on(NAME, Declared)), 2),
            (gather(FREE, TAKEN_IN_SQL.on(NAME, Declared)), 2),
            (gather(TAKEN.on(NAME, Declared)), 2),
            (gather(FREE.on(NAME, Declared), TAKEN), 3),
        ):
            with link.record() as recording:
                assert client.attempt(batch).outcome is Outcome.ROLLED_BACK
            assert recording.server.count("Z") == syncs


def test_lookup_without_an_answer_names_no_step(database, conn):
    with proxy(database) as link, SyncClient(link.conninfo()) as client:
        batch = gather(FREE.on(NAME, Declared), TAKEN)
        with link.record() as recording:
            client.attempt(batch)
        messages = [n for n, letter in enumerate(recording.server) if letter == "Z"]
        link.cut_answers(after=messages[1] + 1)
        with SyncClient(link.conninfo()) as other:
            failed = other.attempt(batch)
            assert type(failed.error) is UnmappedViolation
            assert "did not say whether a trigger" in str(failed.error)
            assert len(failed.error.candidates) == 2
