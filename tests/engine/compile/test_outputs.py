# SPDX-License-Identifier: MIT
"""Outputs on a server: every use, every producer, and what becomes of them when things go wrong."""

from __future__ import annotations

from uuid import UUID

import pytest

from batchq import GuardFailed, delete, gather, insert, into, run, select, sequence, sql, update
from batchq.result import attempt

TABLES = """
CREATE TABLE project (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    name text CONSTRAINT project_name_key UNIQUE, code uuid DEFAULT gen_random_uuid(),
    shout text GENERATED ALWAYS AS (upper(name)) STORED
);
CREATE TABLE vpc (
    id bigint GENERATED ALWAYS AS IDENTITY (START 1000) PRIMARY KEY,
    project_id int NOT NULL REFERENCES project, name text,
    CONSTRAINT vpc_key UNIQUE (project_id, name)
);
CREATE TABLE log (n int CONSTRAINT log_positive CHECK (n > 0), note text);
"""


class MissingError(Exception):
    pass


class RefusedError(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)


def project(name="web"):
    return insert("project", {"name": name})


def row(conn, query):
    return conn.execute(query, prepare=False).fetchone()


# -- every way to use one --------------------------------------------------------------------------

# Each is given a project's id, with and without its type, and answers True about that project.
SEEN = "SELECT EXISTS (SELECT FROM log WHERE note = 'web' AND n = %(id)s) AS seen"
AN_INT = "bigint"


def uses(made):
    key, typed = made.output("id"), made.output("id", AN_INT)
    mine = {"id": key}
    seen = sql(SEEN, id=typed).scalar(bool)
    logged = insert("log", {"n": key, "note": "web"})
    missing = {"missing": MissingError}
    return {
        "cell": gather(logged, seen),
        "set": gather(
            insert("log", {"note": "web"}), update("log", {"n": key}, {"note": "web"}), seen
        ),
        "where of update": gather(logged, update("log", {"n": 1}, {"n": key}).expect(1, **missing)),
        "where of delete": gather(logged, delete("log", {"n": key}).expect(1, **missing)),
        "where of select": select("project", ["name"], where=mine).scalar(str),
        "requirement": select("project", ["name"], where={"name": "web"})
        .require({"id": key}, raises=MissingError)
        .one(tuple),
        "check": select("project", ["id"], where={"name": "web"})
        .ensure({"id": key}, raises=MissingError)
        .one(tuple),
        "on conflict": gather(
            insert("vpc", {"project_id": key, "name": "a"}),
            insert("vpc", {"project_id": key, "name": "a"})
            .on_conflict_do_nothing("project_id", "name")
            .expect(0),
        ),
        "sql": sql("SELECT id FROM project WHERE id = %(id)s", id=typed).scalar(int),
        "sql that writes": gather(
            sql("INSERT INTO log VALUES (%(id)s, %(note)s)", id=typed, note="web"), seen
        ),
        "fragment in a cell": gather(
            insert("log", {"note": "web", "n": sql("%(id)s + 0 * %(id)s", id=typed)}), seen
        ),
        "fragment in where": update("project", {"name": "x"}, sql("id = %(id)s", id=typed)).expect(
            1, **missing
        ),
        "fragment of a column": select(
            "project", [sql("%(id)s = id AS same", id=typed)], where=mine
        ).scalar(bool),
        "require": select("project", ["id"], where=mine).expect(at_least=1, missing=MissingError),
        "forbid": sql("SELECT FROM project WHERE id <> %(id)s", id=typed).expect(
            0, unexpected=MissingError
        ),
        "lock": select("project", where=mine).for_update().expect(1, missing=MissingError),
    }


USES = list(uses(project()))


@pytest.mark.parametrize("use", USES)
def test_every_use_is_of_the_row_just_made(planned, use):
    for _ in range(4):
        planned.execute("TRUNCATE project, vpc, log", prepare=False)
        made = project()
        _, answer = run(planned, gather(made, uses(made)[use]))
        flat = answer if isinstance(answer, tuple) else (answer,)
        assert False not in flat


REFUSED = {
    "where of select": GuardFailed,
    "requirement": MissingError,
    "check": MissingError,
    "sql": GuardFailed,
    "fragment in where": MissingError,
    "fragment of a column": GuardFailed,
    "require": MissingError,
    "forbid": MissingError,
    "lock": MissingError,
}


@pytest.mark.parametrize("use", REFUSED)
def test_a_use_that_asks_for_another_row_is_refused(planned, use):
    """So it did look."""
    made = sql("SELECT -1::bigint AS id").one(tuple)
    for _ in range(4):
        answer = attempt(planned, gather(project(), made, uses(made)[use]))
        assert isinstance(answer.error, REFUSED[use])
        assert answer.report.index == 2


# -- chains and sequences --------------------------------------------------------------------------


def test_a_chain_hands_on_from_each_to_the_next(planned):
    for n in range(4):
        first = project(f"p{n}")
        second = insert("vpc", {"project_id": first.output("id"), "name": first.output("shout")})
        third = insert("log", {"n": second.output("id"), "note": second.output("name")})
        fourth = update("project", {"name": third.output("note")}, {"id": first.output("id")})
        fifth = sql("SELECT %(n)s + 1", n=third.output("n", "int")).scalar(int)
        batch = gather(first, second, third, fourth, fifth)
        assert run(planned, batch)[-1] == 1001 + n
        assert row(planned, f"SELECT name FROM project WHERE id = {100 + n}") == (f"P{n}",)


def test_each_row_of_a_sequence_has_its_own_producer(planned):
    def one(n):
        made = project(f"p{n}").returning("id").scalar(int)
        return into(dict, p=made, v=insert("vpc", {"project_id": made.output("id"), "name": "x"}))

    answers = run(planned, sequence(map(one, range(50))))
    assert [answer["p"] for answer in answers] == list(range(100, 150))
    joined = "SELECT array_agg(project_id ORDER BY vpc.id), max(name) FROM vpc"
    assert row(planned, joined) == (list(range(100, 150)), "x")


def test_all_producers_may_run_before_all_their_users(conn):
    made = [project(f"p{n}") for n in range(20)]
    users = [insert("vpc", {"project_id": p.output("id"), "name": p.output("name")}) for p in made]
    run(conn, gather(sequence(made), sequence(reversed(users))))
    same = "SELECT count(*) FROM vpc JOIN project ON project.id = project_id"
    assert row(conn, f"{same} AND vpc.name = project.name") == (20,)


def test_many_columns_are_outputs_and_one_output_is_used_many_times(conn):
    made = project().returning("code").scalar(UUID)
    columns = ["id", "code", "shout", "name"]
    typed = {name: made.output(name, "text") for name in columns}
    again = sql("SELECT %(id)s || %(code)s || %(shout)s || %(name)s || %(id)s", **typed).scalar(str)
    code, *rest = run(conn, gather(made, again, again))
    assert rest == [f"100{code}WEBweb100"] * 2


def test_a_producer_that_runs_twice_gives_each_user_what_is_latest(conn):
    grow = update("log", {"n": sql("n + 1")}, sql("true"))
    use = sql("SELECT %(n)s", n=grow.output("n", "int")).scalar(int)
    conn.execute("INSERT INTO log VALUES (1)")
    assert run(conn, gather(grow, use, use, grow, grow, use)) == (None, 2, 2, None, None, 4)


# -- every producer --------------------------------------------------------------------------------

PRODUCERS = {
    "identity": (project, "id", 101),
    "default": (lambda: insert("log", {"n": 7}), "note", None),
    "generated": (project, "shout", "WEB"),
    "given": (project, "name", "web"),
    "one": (lambda: project().returning("name").one(tuple), "id", 101),
    "update": (lambda: update("project", {"name": "new"}, {"id": 100}), "shout", "NEW"),
    "update one": (
        lambda: update("project", {"name": "n"}, {"id": 100}).returning("id").one(tuple),
        "name",
        "n",
    ),
    "delete": (lambda: delete("project", {"id": 100}), "name", "old"),
    "select": (lambda: select("project", ["name", "id"], where={"id": 100}), "name", "old"),
    "select of nothing": (lambda: select("project", where={"id": 100}), "name", "old"),
    "lock": (
        lambda: select("project", where={"id": 100}).for_update().expect(1, missing=MissingError),
        "name",
        "old",
    ),
    "quiet insert": (lambda: project().on_conflict_do_nothing("name"), "id", 101),
    "sql insert": (
        lambda: sql("INSERT INTO project (name) VALUES ('x') RETURNING id, name AS n"),
        "n",
        "x",
    ),
    "sql select": (lambda: sql("SELECT max(id) AS top FROM project").one(tuple), "top", 100),
    "sql values": (lambda: sql("VALUES (1, 'a')").one(tuple), "column2", "a"),
    "sql with": (
        lambda: sql("WITH a AS (DELETE FROM project RETURNING name) SELECT name FROM a"),
        "name",
        "old",
    ),
    "checked": (
        lambda: project().ensure({"name": "web"}, raises=MissingError).expect(1),
        "shout",
        "WEB",
    ),
    "required": (
        lambda: delete("project", {"id": 100}).require({"name": "old"}, raises=MissingError),
        "id",
        100,
    ),
}


@pytest.mark.parametrize("name", PRODUCERS)
def test_statement_of_exactly_one_row_is_a_producer(planned, name):
    make, column, value = PRODUCERS[name]
    producer = make()
    for _ in range(4):
        planned.execute("TRUNCATE project, vpc, log RESTART IDENTITY", prepare=False)
        planned.execute("INSERT INTO project (name) VALUES ('old')", prepare=False)
        use = sql("SELECT %(v)s", v=producer.output(column, "text")).one(tuple)
        _, answer = run(planned, gather(producer, use))
        assert answer == (None if value is None else str(value),)


@pytest.mark.parametrize("type_", [None, "int", "bigint"])
@pytest.mark.parametrize(
    "condition",
    [
        lambda row, other: row({"id": 1, "n": other}).expect(1, missing=MissingError),
        lambda row, other: row({"id": 1}).require({"n": other}, raises=MissingError),
        lambda row, other: row({"id": 1}).ensure({"n": other}, raises=MissingError),
    ],
    ids=["where", "require", "ensure"],
)
def test_output_that_is_null_matches_null_with_and_without_a_type(conn, type_, condition):
    conn.execute("CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, NULL), (2, 5)")
    for place, matches in ((1, True), (2, False)):
        source = select("t", ["n"], where={"id": place})
        row = condition(lambda where: update("t", {"id": 1}, where), source.output("n", type_))
        for _ in range(7):
            answer = attempt(conn, gather(source, row))
            assert (getattr(answer, "error", None) is None) == matches
    source = select("t", ["n"], where={"id": 1})
    refused = update("t", {"id": 1}, {"id": 1}).refuse(
        {"n": source.output("n", type_)}, raises=RefusedError
    )
    assert type(attempt(conn, gather(source, refused)).error) is RefusedError
