# SPDX-License-Identifier: MIT
"""A batch of 6 and the retirement of 6, in both orders, forced by locks, at every isolation level.

After the retirement no batch of 6 begins. One that has begun may commit after it: contract()
waits for it by its ``after``, and the DDL of a proof by its lock.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import IsolationLevel

from batchq import insert, run, select
from batchq.result import Failed, Ok, attempt
from batchq.versions import NotYet, TooOld
from tests.support.lock_waits import until_waits
from tests.versions.helpers import LEVELS, MINUTE, SEVEN, SIX, WINDOW, expand

pytestmark = [
    pytest.mark.usefixtures("fleet_tables"),
    pytest.mark.postgres_only("waits are seen in pg_blocking_pids()"),
    pytest.mark.parametrize("isolation", LEVELS, ids=lambda level: level.name),
]

WRITE = SIX.gate(insert("rule", {"id": 1, "row_version": 6}))
RETIRE = SEVEN.retire(below=7)
CONTRACT = SEVEN.contract(unused_since=7, proofs=[SEVEN.proof("rule", 7)])


def test_batch_that_has_passed_the_gate_commits_after_the_retirement(
    racing, connect, conn, isolation
) -> None:
    expand(conn)
    adding, validating = SEVEN.proof("rule", 7).ddl()
    migrating = connect()
    with ThreadPoolExecutor(1) as threads:
        with racing.first.transaction(force_rollback=True):
            racing.first.execute("INSERT INTO rule VALUES (1)")
            writing = racing.submit(attempt, racing.second, WRITE, isolation=isolation)
            assert run(conn, RETIRE, isolation=isolation).oldest == 7

            with pytest.raises(NotYet, match="only since"):
                run(conn, CONTRACT)
            migration = threads.submit(migrating.execute, adding.encode())
            until_waits(conn, migrating.info.backend_pid, migration)
        assert isinstance(writing.result(), Ok)
        migration.result()

    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(validating.encode())


def test_gate_does_not_wait_for_a_retirement(racing, conn, isolation) -> None:
    expand(conn)
    with racing.first.transaction():
        run(racing.first, RETIRE, nested=True)
        assert run(conn, SIX.gate(select("rule").count()), isolation=isolation) == 0


def test_batch_that_begins_after_the_retirement_is_refused(conn, isolation) -> None:
    expand(conn)
    run(conn, RETIRE, isolation=isolation)

    for batch in (WRITE, SIX.gate(select("rule").count()), SIX.join("a", lease=MINUTE)):
        answer = attempt(conn, batch, isolation=isolation)
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, TooOld)
    assert conn.execute("SELECT FROM rule").rowcount == 0


def test_process_whose_lease_ended_while_it_was_paused_is_refused_when_it_wakes(
    racing, conn, isolation
) -> None:
    """It is stopped inside its batch of the gate, and then before the next one."""
    expand(conn)
    run(conn, SIX.join("a", lease=MINUTE), isolation=isolation)
    conn.execute("UPDATE version_member SET until = now() - interval '1 h'")

    with racing.first.transaction():
        run(racing.first, RETIRE, nested=True)
        renewal = racing.submit(
            attempt, racing.second, SIX.join("a", lease=MINUTE), isolation=isolation
        )
    answer = renewal.result()

    assert isinstance(answer, Failed)
    # Above READ COMMITTED it is a conflict, and refused when it is run again.
    assert isinstance(answer.error, TooOld) is (isolation is IsolationLevel.READ_COMMITTED)
    for batch in (SIX.join("a", lease=MINUTE), WRITE):
        with pytest.raises(TooOld):
            run(conn, batch, isolation=isolation)
    assert conn.execute(WINDOW).fetchone() == (7, 7)
