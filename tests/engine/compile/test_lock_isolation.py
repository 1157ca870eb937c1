# SPDX-License-Identifier: MIT
"""``for_update()`` and the isolation level: it is rejected if the steps after it would see less
than was committed before it got its lock, however the level was chosen and whatever rows there are.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from batchq import (
    GuardFailed,
    InvalidBatch,
    Outcome,
    Retry,
    desc,
    gather,
    insert,
    run,
    select,
    sql,
    sqlstate,
    steps,
    update,
)
from batchq.engine.outcome.suggest import OLD_SNAPSHOT
from batchq.result import Ok, aattempt, attempt
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE project (id int PRIMARY KEY, name text, time_deleted timestamptz);
CREATE TABLE part (id int, name text) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE log (n int);
INSERT INTO project VALUES (1, 'web', NULL), (2, 'old', now()); INSERT INTO part VALUES (1, 'web');
"""
RC, RR = IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ
OLD = "repeatable read"
FRESH = ("read uncommitted", "read committed", "serializable")


class Missing(Exception):
    pass


class Project(NamedTuple):
    id: int
    name: str


def of(id_, **options):
    return (
        select("project", where={"id": id_, "time_deleted": None})
        .for_update()
        .expect(1, missing=Missing)
    )


def any_of(id_, columns=("id", "name")):
    return select("project", list(columns), where={"id": id_}).for_update()


# Of a project that lives, 1, and of one that does not, 2 or 9.
LOCKS = {
    "lock": of,
    "for no key update": lambda i: of(i, strength="no key update"),
    "for share": lambda i: of(i, strength="share"),
    "for key share": lambda i: of(i, strength="key share"),
    "by a fragment": lambda i: (
        select("project", where=sql("id = %(i)s", i=i)).for_update().expect(1, missing=Missing)
    ),
    "by what is never so": lambda _: (
        select("project", where=sql("false")).for_update().expect(1, missing=Missing)
    ),
    "of a partition": lambda i: (
        select("part", where={"id": i}).for_update().expect(1, missing=Missing)
    ),
    "that counts": lambda i: of(i).count(),
    "that reads": lambda i: of(i).one(Project),
    "that requires": lambda i: of(i).require({"name": "web"}, raises=Unmet),
    "that reads and requires": lambda i: of(i).require({"name": "web"}, raises=Unmet).one(Project),
    "of at most one": lambda i: of(i).expect(at_most=1),
    "of at most one, read": lambda i: of(i).expect(at_most=1).all(Project),
    "of at least one": lambda i: of(i).expect(at_least=1),
    "without a guard": any_of,
    "without a guard, counted": lambda i: any_of(i).count(),
    "without a guard, read": lambda i: any_of(i).all(Project),
    "whose rows are inserted": lambda i: insert("log", any_of(i, [sql("id AS n")])),
    "whose rows are inserted and counted": lambda i: insert(
        "log", any_of(i, [sql("id AS n")])
    ).count(),
    "whose output is used": lambda i: gather(
        made := of(i), insert("log", {"n": made.output("id")})
    ),
}
NEVER_THERE = "by what is never so"


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def default_to(conn, level):
    conn.execute(f"SET default_transaction_isolation = '{level}'", prepare=False)


def refused(answer, index=0):
    """Whether the server refused the level, whatever else there was to say of the row."""
    assert type(answer.error) is GuardFailed
    assert answer.error.outcome is Outcome.ROLLED_BACK
    assert answer.error.index == index
    assert answer.error.violation.isolation == OLD
    assert (answer.error.violation.rows, answer.error.violation.requirement) == (None, None)
    return True


@pytest.mark.parametrize("often", [1, 7], ids=["planned again", "planned once"])
def test_snapshot_level_is_rejected_with_and_without_a_row(scanned, often):
    default_to(scanned, OLD)
    for name, make in LOCKS.items():
        for id_ in (1, 2, 9):
            for _ in range(often):
                assert refused(attempt(scanned, make(id_))), (name, id_)


@pytest.mark.parametrize("level", FRESH)
def test_each_other_level_reports_whether_the_row_exists(scanned, level):
    default_to(scanned, level)
    for name, make in LOCKS.items():
        there, missing = attempt(scanned, make(1)), attempt(scanned, make(9))
        assert isinstance(there, Ok) == (name != NEVER_THERE), name
        if "at most" in name or "guard" in name or "inserted" in name:
            assert isinstance(missing, Ok)
        else:
            assert missing.report.violation.rows == 0, name
            assert type(missing.error) in {Missing, GuardFailed}


def test_optional_row_that_does_not_exist_is_none(planned):
    reading = of(9).expect(at_most=1).all(Project)
    assert run(planned, reading) == []
    assert run(planned, of(1).expect(at_most=1).all(Project)) == [(1, "web")]


def test_rows_without_a_guard_are_those_of_the_select(planned):
    for id_, found in (1, [(1, "web")]), (9, []):
        assert run(planned, any_of(id_).all(Project)) == found
        assert run(planned, any_of(id_).count()) == len(found)
        assert run(planned, insert("log", any_of(id_, [sql("id AS n")])).count()) == len(found)
    ordered = select("project", ["id"], order_by=desc("id"), limit=2).for_update().all(tuple)
    assert run(planned, ordered) == [(2,), (1,)]


def test_level_is_rejected_before_waiting_for_a_row(planned, observer):
    default_to(planned, OLD)
    planned.execute("SET lock_timeout = '60s'", prepare=False)
    with observer.transaction():
        observer.execute("SELECT 1 FROM project FOR UPDATE")
        assert refused(attempt(planned, of(1)))
        assert refused(attempt(planned, any_of(1).all(Project)))


def test_level_error_suggests_code_and_shows_no_value(planned):
    default_to(planned, OLD)
    answer = attempt(planned, gather(insert("log", {"n": 1}), of(1).label("parent")))
    assert refused(answer, index=1)
    assert str(answer.error) == (
        "step 1 (parent: lock project): guard refused the isolation level REPEATABLE READ; rolled "
        "back, nothing was kept\n"
        f"{OLD_SNAPSHOT}"
    )
    assert isinstance(attempt(planned, of(1), isolation=RC), Ok)


def test_no_mapping_is_for_it(planned):
    """A row that is there is not missing, and a guard is not a failed cast."""
    default_to(planned, OLD)
    batch = of(1).require({"name": "db"}, raises=Unmet).on(sqlstate("22P02"), Missing)
    assert refused(attempt(planned, batch.map(lambda _: 1).on(sqlstate("22P02"), Missing)))
    assert refused(attempt(planned, gather(batch).as_invariant("creating a vpc")))


def test_level_error_is_not_retried(planned):
    default_to(planned, OLD)
    assert attempt(planned, of(1), retry=Retry(attempts=3, backoff=0)).report.attempts == 1


@pytest.mark.parametrize("make", LOCKS.values(), ids=LOCKS)
def test_level_known_before_is_rejected_before_sending(conn, make):
    with pytest.raises(InvalidBatch, match=r"REPEATABLE READ(.|\n)*isolation=") as caught:
        attempt(conn, gather(insert("log", {"n": 1}), make(1)), isolation=RR)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.index == 1
    conn.isolation_level = RR
    with pytest.raises(InvalidBatch, match="REPEATABLE READ"):
        attempt(conn, make(1))
    assert conn.info.transaction_status == TransactionStatus.IDLE
    assert isinstance(attempt(conn, of(1), isolation=RC), Ok)


async def test_level_is_rejected_on_async_connections(aconn):
    with pytest.raises(InvalidBatch, match="REPEATABLE READ"):
        await aattempt(aconn, of(1), isolation=RR)
    await aconn.execute(f"SET default_transaction_isolation = '{OLD}'")
    assert refused(await aattempt(aconn, of(1)))


def test_level_is_rejected_on_a_pool_and_its_connection_stays_usable(database):
    with ConnectionPool(database, min_size=1, max_size=1) as pool:
        with pytest.raises(InvalidBatch, match="REPEATABLE READ"):
            run(pool, of(1), isolation=RR)
        run(pool, of(1))


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"])
def test_inside_a_transaction_of_the_callers_the_server_knows_the_level(planned, begin):
    planned.execute(begin, prepare=False)
    planned.execute("INSERT INTO log VALUES (7)", prepare=False)
    answer = attempt(planned, of(1), nested=True)
    assert isinstance(answer, Ok) if begin == "BEGIN" else refused(answer)
    assert planned.info.transaction_status == TransactionStatus.INTRANS
    planned.execute("COMMIT", prepare=False)
    assert planned.execute("SELECT n FROM log", prepare=False).fetchall() == [(7,)]


def test_connection_default_level_is_ignored_in_an_open_transaction(conn):
    conn.isolation_level = RR
    conn.execute("BEGIN")
    assert isinstance(attempt(conn, of(1), nested=True), Ok)


def test_a_level_set_after_begin_is_what_counts(conn):
    conn.execute("BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert refused(attempt(conn, of(1), nested=True))


@pytest.mark.parametrize(
    "setting",
    [
        "standard_conforming_strings = off",
        "client_encoding = latin1",
        "DateStyle = 'SQL, DMY'",
        "search_path = pg_temp, public",
        "lc_messages = 'C'",
        "bytea_output = escape",
        "jit_above_cost = 0",
    ],
)
def test_no_session_setting_bends_it(planned, setting):
    name = planned.execute("SHOW search_path", prepare=False).fetchone()[0]
    planned.execute(f"SET {setting}", prepare=False)
    if "search_path" in setting:
        planned.execute(f"SET search_path = pg_temp, {name}", prepare=False)
    default_to(planned, OLD)
    assert refused(attempt(planned, of(1)))
    assert refused(attempt(planned, of(9)))
    default_to(planned, "serializable")
    assert isinstance(attempt(planned, of(1)), Ok)


def test_guards_that_lock_nothing_ask_for_no_level(conn):
    batch = gather(
        update("project", {"name": "db"}, {"id": 1}).expect(1, missing=Missing),
        select("project", ["id"], where={"id": 9}).expect(0, unexpected=Unmet),
    )
    assert isinstance(attempt(conn, batch, isolation=RR), Ok)


def test_the_level_is_asked_in_the_statement_that_locks():
    (step,) = steps(of(1))
    assert "current_setting('transaction_isolation')" in step.sql
