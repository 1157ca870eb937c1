# SPDX-License-Identifier: MIT
"""Failing outputs, on a server: which step is named, what is left, what is rejected."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg_pool import ConnectionPool

from batchq import (
    GuardFailed,
    InvalidBatch,
    InvariantViolation,
    Outcome,
    check,
    delete,
    gather,
    insert,
    not_null,
    run,
    select,
    sequence,
    sql,
    unique,
    update,
)
from batchq.result import attempt
from tests.support.clients import item

TABLES = """
CREATE TABLE project (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    name text CONSTRAINT project_name_key UNIQUE
);
CREATE TABLE vpc (project_id int NOT NULL);
CREATE TABLE log (n int CONSTRAINT log_positive CHECK (n > 0), note text);
"""
LEFT = """
SELECT string_agg(current_setting('batchq.output_' || i || '_0', true), '')
FROM generate_series(0, 3) AS i
"""
AN_INT = "bigint"


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


# -- a producer needs its row ----------------------------------------------------------------------


def test_output_of_a_row_that_a_trigger_suppresses_fails_the_guard(planned):
    planned.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER no BEFORE INSERT ON log EXECUTE FUNCTION no();"
        "CREATE TRIGGER none BEFORE INSERT ON project FOR EACH ROW EXECUTE FUNCTION no()",
        prepare=False,
    )
    made = project()
    failed = attempt(planned, gather(made, insert("log", {"n": made.output("id")})))
    assert isinstance(failed.error, GuardFailed)
    assert (failed.report.index, failed.report.statement) == (0, made)
    assert failed.report.violation.rows == 0


def test_output_of_a_row_that_already_exists_fails_the_guard(planned):
    run(planned, project())
    quiet = project().on_conflict_do_nothing("name")
    use = insert("log", {"n": quiet.output("id")})
    answer = attempt(planned, gather(quiet, use))
    assert isinstance(answer.error, GuardFailed)
    assert (answer.report.index, answer.report.violation.rows) == (0, 0)
    meant = attempt(planned, gather(quiet.expect(1, missing=MissingError), use))
    assert isinstance(meant.error, MissingError)


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda: update("project", {"name": None}, sql("true")),
        lambda: delete("project", sql("true")),
        lambda: select("project", ["id"], where=sql("true")),
        lambda: select("project", ["id"], where=sql("true")).one(tuple),
        lambda: sql("DELETE FROM project RETURNING id"),
        lambda: sql("SELECT id FROM project"),
    ],
    ids=["update", "delete", "select", "one", "sql delete", "sql select"],
)
def test_a_producer_without_exactly_one_row_fails_itself(planned, make, rows):
    planned.execute("TRUNCATE project, vpc", prepare=False)
    run(planned, sequence(project(f"p{n}") for n in range(rows)))
    made = make()
    use = sql("INSERT INTO log (note) VALUES (%(v)s)", v=made.output("id", "text"))
    for _ in range(3):
        answer = attempt(planned, gather(insert("log", {"n": 1}), made, use))
        assert isinstance(answer.error, GuardFailed)
        assert (answer.report.statement, answer.report.violation.rows) == (made, rows)
        assert row(planned, "SELECT count(*) FROM log") == (0,)


# -- errors stay apart -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["plain", "as_invariant", "mapped"])
def test_failure_of_the_consumer_is_attributed_to_it(planned, where):
    made = project()
    use = insert("log", {"n": sql("-%(n)s", n=made.output("id", AN_INT))})
    use = use.on(check("log_positive"), RefusedError)
    batch = gather(made, insert("log", {"n": made.output("id")}), use.label("third"))
    if where == "as_invariant":
        batch = batch.as_invariant("there")
    if where == "mapped":
        batch = gather(batch.map(lambda _: None)).on(check("log_positive"), MissingError)
    answer = attempt(planned, batch)
    wanted = {"plain": RefusedError, "as_invariant": InvariantViolation, "mapped": MissingError}
    assert isinstance(answer.error, wanted[where])
    assert (answer.report.index, answer.report.path) == (2, "third")


def test_failure_of_the_producer_is_attributed_to_it(planned):
    run(planned, project())
    made = project().on(unique("project_name_key"), RefusedError)
    answer = attempt(planned, gather(made, insert("log", {"n": made.output("id")})))
    assert isinstance(answer.error, RefusedError)
    assert answer.report.statement is made


def test_null_is_handed_on_and_refused_where_it_is_not_wanted(planned):
    made = insert("log", {"n": 1})
    use = insert("vpc", {"project_id": made.output("note")}).on(
        not_null("project_id"), RefusedError
    )
    answer = attempt(planned, gather(made, use))
    assert isinstance(answer.error, RefusedError)
    assert answer.report.index == 1


def test_output_that_does_not_fit_the_column_fails_the_consumer(conn):
    made = project("no number")
    answer = attempt(conn, gather(made, insert("log", {"n": made.output("name")})))
    assert (answer.report.index, answer.report.violation.sqlstate) == (1, "22P02")
    assert "no number" not in str(answer.report)


# -- values, threads, transactions -----------------------------------------------------------------


def test_a_batch_of_them_is_a_value_for_all_threads(database, conn):
    made = insert("project", {"name": sql("gen_random_uuid()::text")}).returning("id").scalar(int)
    use = sql("SELECT %(id)s", id=made.output("id", AN_INT)).scalar(int)
    once, twice = gather(made, use), gather(gather(made, use).map(list), gather(made, use))
    with (
        ConnectionPool(database, min_size=4, max_size=4, open=True) as pool,
        ThreadPoolExecutor(8) as threads,
    ):
        pairs = list(threads.map(lambda _: run(pool, once), range(60)))
        fours = list(threads.map(lambda _: run(pool, twice), range(30)))
    assert all(a == b for a, b in pairs)
    assert all(a == b and c == d and a != c for (a, b), (c, d) in fours)
    assert len({a for a, _ in pairs}) == 60


def test_nothing_is_left_on_the_connection(conn):
    made = project()
    seen = insert("log", {"n": made.output("id")})
    run(conn, gather(made, seen))
    assert row(conn, LEFT)[0] in (None, "")
    again = project("other")
    use = insert("log", {"n": sql("-%(n)s", n=again.output("id", AN_INT))})
    assert attempt(conn, gather(again, use)).outcome is Outcome.ROLLED_BACK
    assert row(conn, LEFT)[0] in (None, "")


def test_output_ends_with_the_callers_transaction(conn):
    made = project()
    batch = gather(made, insert("log", {"n": made.output("id")}))
    with conn.transaction():
        run(conn, batch, nested=True)
        answer = attempt(conn, batch, nested=True)
        assert answer.report.index == 0
        other = project("other")
        run(conn, gather(other, insert("log", {"n": other.output("id")})), nested=True)
    assert row(conn, LEFT)[0] in (None, "")
    assert row(conn, "SELECT array_agg(n ORDER BY n) FROM log") == ([100, 102],)


def test_output_costs_no_round_trip(link, client, conn):
    made = item(7).returning("id").scalar(int)
    use = insert("log", {"n": made.output("id")})
    link.hold(syncs=2)
    with link.record() as recording:
        answer = client.attempt(gather(made, use, use))
    assert answer.value == (7, None, None)
    assert recording.flights == 1


# -- refused before a byte is sent -----------------------------------------------------------------


def test_output_in_a_list_of_values_is_rejected(conn):
    made = project()
    with pytest.raises(InvalidBatch, match=r"'project_id', a list.*output cannot be in a list"):
        run(conn, gather(made, delete("vpc", {"project_id": [made.output("id"), 1]})))
    assert row(conn, "SELECT count(*) FROM project") == (0,)


def test_output_is_not_named_for_another_value_that_cannot_be_sent(conn):
    made = project()
    use = insert("log", {"n": made.output("id"), "note": object()})
    with pytest.raises(InvalidBatch, match="'note', an object"):
        run(conn, gather(made, use))


def test_a_dialect_that_cannot_carry_them_refuses(conn, monkeypatch):
    from batchq.engine.dialects import COCKROACHDB  # noqa: PLC0415  beside what it patches

    monkeypatch.setattr("batchq.engine.wire.connection_state.dialect_of", lambda _: COCKROACHDB)
    made = project()
    with pytest.raises(InvalidBatch, match="cockroachdb"):
        run(conn, gather(made, insert("log", {"n": made.output("id")})))
    run(conn, made)
    assert row(conn, "SELECT count(*) FROM project") == (1,)
