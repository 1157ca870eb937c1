# SPDX-License-Identifier: MIT
"""Which writes to a job are allowed, in which phase and for which worker.

Races are forced by a transaction that holds the row until the other one waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from attrs import evolve

from batchq import Batch, InvalidBatch, run
from batchq.bulk import Backfill, Budget, Job, JobExists, Jobs, LeaseLost, Report, preflight, resume
from batchq.bulk.job import new_job
from batchq.result import Failed, Ok, attempt
from tests.support.lock_waits import Race

LEASE = timedelta(minutes=1)


Ending = Callable[[Any, Job], Batch[Any]]
ENDINGS: dict[str, Ending] = {
    "done": lambda jobs, job: jobs.mark_done(job),
    "stuck": lambda jobs, job: jobs.mark_stuck(job, "look at it"),
    "abandoned": lambda jobs, job: jobs.abandon(job.id),
}
AFTERWARDS: dict[str, Ending] = {
    "keep": lambda jobs, job: jobs.renew_lease(job, LEASE),
    "step": lambda jobs, job: jobs.advance(evolve(job, seq=job.seq + 1), {"stage": 0}),
    "done": lambda jobs, job: jobs.mark_done(evolve(job, seq=job.seq + 1)),
    "again": lambda jobs, job: jobs.restart(evolve(job, seq=job.seq + 1), "late"),
    "stick": lambda jobs, job: jobs.mark_stuck(evolve(job, seq=job.seq + 1), "late"),
}
"""Each with the number of a step that would be the next, were it not for the phase."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_job_that_ends_during_a_claim_is_not_claimed(
    fenced: Any, racing: Race, ending: str
) -> None:
    jobs, job = fenced.tree.jobs, fenced.claimed("first")
    fenced.end_lease()
    seen = fenced.seen()
    claim = jobs.claim(seen, "second", LEASE, None)
    answer = racing.run(ENDINGS[ending](jobs, job), claim)
    assert answer == Ok(None)
    phase, owner = fenced.job("phase, owner")
    assert (phase, owner == "second") == (ending, False)


def test_worker_that_waits_while_a_job_ends_reports_nothing(fenced: Any, racing: Race) -> None:
    """The whole of it: claimed by one whose lease has ended, found by another, ended meanwhile."""
    job = fenced.claimed("first")
    fenced.end_lease()
    with racing.first.transaction():
        run(racing.first, fenced.tree.jobs.mark_done(job), nested=True)
        work = racing.submit(fenced.resume, racing.second, owner="second")
    report = work.result()
    assert (report.jobs_done, report.chunks, report.leases_lost) == (0, 0, 0)
    assert fenced.job("phase, owner, epoch") == ("done", "first", 1)


@pytest.mark.parametrize("first", ["claim", "keep"])
def test_claim_waits_for_another_claim_or_renewal_and_gives_up(
    fenced: Any, racing: Race, first: str
) -> None:
    jobs = fenced.tree.jobs
    if first == "keep":
        job = fenced.claimed("first")
        fenced.end_lease()
        held = jobs.renew_lease(job, LEASE)
    else:
        held = jobs.claim(fenced.seen(), "first", LEASE, None)
    answer = racing.run(held, jobs.claim(fenced.seen(), "second", LEASE, None))
    assert answer == Ok(None)
    assert fenced.job("owner") == "first"


def test_rolled_back_claim_does_not_block_others(fenced: Any, racing: Race) -> None:
    jobs, seen = fenced.tree.jobs, fenced.seen()
    held = jobs.claim(seen, "first", LEASE, None)
    answer = racing.run(held, jobs.claim(seen, "second", LEASE, None), rollback=True)
    assert isinstance(answer, Ok)
    assert answer.value.epoch == 1
    assert fenced.job("owner") == "second"


def test_leased_job_or_job_of_another_version_is_not_claimed(fenced: Any) -> None:
    jobs = fenced.tree.jobs
    held = fenced.claimed("first")
    assert run(fenced.conn, jobs.claim(held, "second", LEASE, None)) is None
    fenced.end_lease()
    fenced.conn.execute("UPDATE bulk_job SET version = 99")
    assert run(fenced.conn, jobs.claim(held, "second", LEASE, None)) is None
    assert fenced.job("owner, epoch") == ("first", 1)


def test_lease_is_renewed_only_by_its_owner(fenced: Any) -> None:
    jobs, first = fenced.tree.jobs, fenced.claimed("first")
    run(fenced.conn, jobs.renew_lease(first, timedelta(hours=1)))
    assert fenced.job("lease_until > now() + interval '50 minutes'")
    fenced.end_lease()
    assert run(fenced.conn, jobs.claim(first, "second", LEASE, None)) is not None
    answer = attempt(fenced.conn, jobs.renew_lease(first, timedelta(hours=1)))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, LeaseLost)
    assert fenced.job("owner, lease_until > now() + interval '50 minutes'") == ("second", False)


@pytest.mark.parametrize("write", AFTERWARDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_ended_job_is_not_written(fenced: Any, ending: str, write: str) -> None:
    jobs, job = fenced.tree.jobs, fenced.claimed("first")
    run(fenced.conn, ENDINGS[ending](jobs, job))
    before = fenced.job("bulk_job::text")
    answer = attempt(fenced.conn, AFTERWARDS[write](jobs, job))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, LeaseLost)
    assert fenced.job("bulk_job::text") == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_ended_job_is_not_released_and_loses_no_row(fenced: Any, ending: str) -> None:
    jobs, job = fenced.tree.jobs, fenced.claimed("first")
    run(fenced.conn, ENDINGS[ending](jobs, job))
    before = fenced.job("bulk_job::text")
    assert run(fenced.conn, jobs.release(job, "detail")) == 0
    late = evolve(job, seq=fenced.job("seq"), epoch=fenced.job("epoch"))
    answer = attempt(fenced.conn, fenced.tree.chunk(late, 300, LEASE))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, LeaseLost)
    assert (fenced.job("bulk_job::text"), fenced.left()) == (before, 1_000)


@pytest.mark.parametrize(("phase", "freed"), [("done", 0), ("abandoned", 0), ("stuck", 1)])
def test_retry_takes_only_a_stuck_job(fenced: Any, phase: str, freed: int) -> None:
    jobs, job = fenced.tree.jobs, fenced.claimed("first")
    run(fenced.conn, ENDINGS[phase](jobs, job))
    assert run(fenced.conn, jobs.retry(job.id)) == freed
    assert fenced.job("phase") == ("active" if freed else phase)


# -- abandoning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "held", "stuck"])
def test_job_is_abandoned_once_in_any_phase(fenced: Any, state: str) -> None:
    jobs = fenced.tree.jobs
    job = fenced.seen() if state == "waiting" else fenced.claimed("first")
    if state == "stuck":
        run(fenced.conn, jobs.mark_stuck(job, "look at it"))
    assert [run(fenced.conn, jobs.abandon(job.id)) for _ in range(2)] == [1, 0]
    assert fenced.job("phase, owner, lease_until") == ("abandoned", None, None)
    assert fenced.resume() == Report()
    assert fenced.left() == 1_000
    backlog = run(fenced.conn, jobs.stats("vpc"))
    assert (backlog.abandoned, backlog.claimable, backlog.leased, backlog.stuck) == (1, 0, 0, 0)
    assert backlog.oldest_age is None


def test_done_job_is_not_abandoned(fenced: Any) -> None:
    fenced.resume()
    assert run(fenced.conn, fenced.tree.jobs.abandon(fenced.job("id"))) == 0
    fenced.assert_deleted()


@pytest.mark.parametrize("when", [1, 3, 5], ids=["first chunk", "a chunk", "final batch"])
def test_worker_of_an_abandoned_job_deletes_nothing(
    fenced: Any, connect: Callable[..., Any], at: Any, when: int
) -> None:
    jobs, job = fenced.tree.jobs, fenced.job("id")
    abandon = at(when, lambda: run(fenced.conn, jobs.abandon(job)))
    report = fenced.resume(connect(), throttles=[abandon])
    assert (report.leases_lost, report.jobs_done) == (1, 0)
    assert report.rows == min(300 * (when - 1), 1_000)
    assert fenced.job("phase") == "abandoned"
    assert fenced.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    fenced.assert_exact()


def test_chunk_that_waits_for_an_abandon_is_rolled_back(fenced: Any, racing: Race) -> None:
    job = fenced.claimed("first")
    abandon = fenced.tree.jobs.abandon(job.id)
    answer = racing.run(abandon, fenced.tree.chunk(job, 300, LEASE))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, LeaseLost)
    assert (fenced.left(), fenced.job("rows_done")) == (1_000, 0)


def test_abandon_that_waits_for_a_chunk_keeps_its_count(fenced: Any, racing: Race) -> None:
    job = fenced.claimed("first")
    answer = racing.run(fenced.tree.chunk(job, 300, LEASE), fenced.tree.jobs.abandon(job.id))
    assert answer == Ok(1)
    assert fenced.job("phase, rows_done") == ("abandoned", 300)
    fenced.assert_exact()


def test_abandon_that_waits_for_the_end_finds_the_job_done(fenced: Any, racing: Race) -> None:
    job = fenced.claimed("first")
    answer = racing.run(fenced.tree.jobs.mark_done(job), fenced.tree.jobs.abandon(job.id))
    assert answer == Ok(0)
    assert fenced.job("phase") == "done"


# -- the table ------------------------------------------------------------------------------------


NAMES = ["x" * 49, "x" * 55, "x" * 63, "\u00e9" * 31, "\U0001f600" * 15, 'a"b%c' * 12, "Jobs {0}"]


@pytest.mark.parametrize("qualified", [True, False])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_one_unfinished_job_a_parent_for_any_table_name(
    conn: Any, name: str, qualified: bool
) -> None:
    (schema,) = conn.execute("SELECT current_schema()").fetchone()
    jobs = Jobs(table=f"{schema}.{name}" if qualified else name)
    for _ in range(2):  # it makes what is not there
        conn.execute(jobs.ddl())
    conn.execute("CREATE TABLE rule (id int PRIMARY KEY, v int NOT NULL)")
    conn.execute("INSERT INTO rule VALUES (1, 1)")
    stamp = Backfill(name="v2", table="rule", set={"v": 2}, where={"v": 1}, jobs=jobs)
    run(conn, stamp.start())
    with pytest.raises(JobExists):
        run(conn, stamp.start())
    assert preflight(conn, stamp).errors == ()
    assert resume(conn, [stamp], owner="test").jobs_done == 1
    run(conn, stamp.start())


def test_job_tables_with_long_similar_names_are_distinct(conn: Any) -> None:
    for last in "ab":
        jobs = Jobs(table="x" * 62 + last)
        conn.execute(jobs.ddl())
        run(conn, jobs.create(uuid4(), "tree", "7", KeyError()))
        with pytest.raises(KeyError):
            run(conn, jobs.create(uuid4(), "tree", "7", KeyError()))


def test_new_job_is_what_the_server_inserts(conn: Any) -> None:
    jobs, job = Jobs(), uuid4()
    conn.execute(jobs.ddl())
    run(conn, jobs.create(job, "tree", "7", KeyError()))
    inserted: Any = run(conn, jobs.get(job))
    assert inserted == new_job(job, "tree", "7", inserted.created_at)


@pytest.mark.parametrize("name", ["", "a.", "x" * 64, "\u00e9" * 32, "a\0b", None], ids=ascii)
def test_invalid_job_table_name_is_rejected(name: Any) -> None:
    with pytest.raises(InvalidBatch, match="Jobs"):
        Jobs(table=name)


# -- why it did not end ----------------------------------------------------------------------------


def failed(estate: Any) -> str:
    """Have the server refuse a chunk, and mend what it was for."""
    estate.conn.execute("REVOKE ALL ON rule FROM CURRENT_USER")
    estate.conn.execute("ALTER TABLE rule RENAME TO elsewhere")
    estate.resume()
    estate.conn.execute("ALTER TABLE elsewhere RENAME TO rule")
    detail: str = estate.job("last_error")
    assert "rule" in detail
    return detail


def test_last_error_stays_until_a_step_is_committed(fenced: Any) -> None:
    detail = failed(fenced)
    for budget in (Budget(chunks=0), Budget(seconds=0)):
        report = fenced.resume(budget=budget)
        assert (report.jobs_released, report.rows) == (1, 0)
        assert fenced.job("last_error") == detail
    assert fenced.resume(budget=Budget(chunks=1)).rows == 300
    assert fenced.job("last_error") is None


def test_last_error_stays_when_an_observer_raises(fenced: Any) -> None:
    detail = failed(fenced)

    def breaking(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fenced.resume(observers=[breaking])
    assert fenced.job("last_error") == detail
