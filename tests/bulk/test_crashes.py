# SPDX-License-Identifier: MIT
"""Processes killed and connections cut at every place: the next worker continues."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from batchq.bulk import Report, StopReason
from batchq.testing import Proxy, proxy
from tests.support.lock_waits import TIMEOUT

CHUNK = len("PBDEPBDEPBDESPBDES")
"""What a client sends for a chunk: BEGIN, the timeout, the chunk; COMMIT."""
LATER = len("BDEPBDEPBDESBDES")
"""The same, when BEGIN and COMMIT are prepared."""
CHUNK_ANSWER = len("12nC12nC12TDCZ12nCZ")
LAST = len("BDEPBDEPBDEPBDEPBDEPBDEPBDEPBDESBDES")
"""BEGIN (prepared by now), the timeout, settings, lock, look, settings put back, delete, step;
COMMIT."""
CHUNK_1, CHUNK_3, FINAL = 1, 3, 5
"""How often the throttle has been asked right before: four chunks, then the final batch."""

WORKER = """
import sys, psycopg, batchq
from datetime import timedelta
from batchq.bulk import ChildDelete, ChunkSize, DeleteTree, resume
from batchq.hierarchy import Parent

def throttle():
    print("asked", flush=True)
    sys.stdin.readline()

vpc = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
rules = ChildDelete(relation=vpc.children("rule", by="vpc_id", deleted_at=None))
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    size = ChunkSize(minimum=300, initial=300, maximum=300)
    tree = DeleteTree(name="vpc", parent=vpc, children=[rules])
    lease = timedelta(minutes=2)
    resume(
        conn, [tree], owner="worker", chunk_size=size, timeout=60, lease=lease, throttles=[throttle]
    )
"""


class Worker:
    """A process that resumes, and stands still whenever its throttle is asked."""

    def __init__(self, conninfo: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, conninfo],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stands(self) -> None:
        """Wait until its throttle is asked."""
        assert self.process.stdout
        assert self.process.stdout.readline() == "asked\n"

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait(TIMEOUT) == -signal.SIGKILL


@pytest.fixture
def worker(estate: Any, database: str) -> Iterator[Worker]:
    started = Worker(f"{database} application_name=worker")
    with started.process:
        try:
            yield started
        finally:
            started.process.kill()


def until(holds: Callable[[], object]) -> None:
    """Wait until the server says so."""
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline


WAITS = """SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'worker' AND pg_blocking_pids(pid) <> '{}'"""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'worker'"


@pytest.mark.parametrize(("stand", "done"), [(1, 0), (2, 300), (4, 900), (5, 1_000)], ids=str)
def test_killed_process_between_steps_is_followed_by_another(
    fenced: Any, worker: Worker, stand: int, done: int
) -> None:
    for _ in range(stand - 1):
        worker.stands()
        worker.go()
    worker.stands()
    worker.kill()

    assert fenced.job("phase, rows_done, owner") == ("active", done, "worker")
    assert fenced.left() == 1_000 - done
    report = fenced.resume()
    assert (report.jobs_done, report.chunks) == (0, 0)  # it may still live: its lease holds
    fenced.end_lease()
    report = fenced.resume()
    assert (report.stop_reason, report.jobs_done, report.rows) == (
        StopReason.EXHAUSTED,
        1,
        1_000 - done,
    )
    fenced.assert_deleted()


@pytest.mark.parametrize("locked", ["rule WHERE id = 450 FOR UPDATE", "vpc WHERE id = 1 FOR SHARE"])
@pytest.mark.parametrize("first", ["server", "successor"])
def test_killed_process_during_commit_is_followed_by_another(
    fenced: Any, worker: Worker, connect: Callable[..., Any], locked: str, first: str
) -> None:
    """The server executes what it sent all the same, unless it finds the connection
    closed before it reads COMMIT; before the next worker starts, or never."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute(f"SELECT FROM {locked}")
    final = locked.startswith("vpc")
    for _ in range(FINAL if final else 2):
        worker.stands()
        worker.go()
    until(lambda: fenced.one(WAITS))
    worker.kill()
    done = fenced.job("rows_done")
    if first == "successor":
        fenced.end_lease()
        # It claims the job and stops: what the dead process sent now has a lost lease.
        assert fenced.resume(stop=lambda: True).stop_reason is StopReason.INTERRUPTED
    holder.execute("ROLLBACK")
    until(lambda: not fenced.one(CONNECTED))
    outcomes = {("active", done)}
    if first == "server":
        outcomes.add(("done", 1_000) if final else ("active", done + 300))
        fenced.end_lease()
    outcome = fenced.job("phase, rows_done")
    assert outcome in outcomes
    fenced.assert_exact()
    assert fenced.resume().rows == 1_000 - outcome[1]
    fenced.assert_deleted()


@contextmanager
def pooled(link: Proxy) -> Iterator[ConnectionPool]:
    settings: dict[str, Any] = {"min_size": 1, "max_size": 1, "open": True}
    with ConnectionPool(link.conninfo(), **settings) as pool:
        yield pool


def requests(after: int) -> Callable[[Proxy], None]:
    return lambda link: link.cut_requests(after=after)


def answers(after: int) -> Callable[[Proxy], None]:
    def arm(link: Proxy) -> None:
        link.hold(syncs=2)
        link.cut_answers(after=after)

    return arm


CUTS = [
    *[pytest.param(at, requests(n), id=f"requests-{at}-{n}")
      for at, all_ in ((CHUNK_1, CHUNK), (CHUNK_3, LATER))
      for n in (0, 4, all_ - 5, all_ - 2, all_ - 1)],
    *[pytest.param(at, answers(n), id=f"answers-{at}-{n}")
      for at in (CHUNK_1, CHUNK_3) for n in (0, 13, 14, CHUNK_ANSWER - 1)],
    *[pytest.param(FINAL, requests(n), id=f"requests-final-{n}")
      for n in (0, LAST - 8, LAST - 4, LAST - 1)],
    *[pytest.param(FINAL, answers(n), id=f"answers-final-{n}") for n in (0, 20, 24)],
]  # fmt: skip


@pytest.mark.parametrize(("when", "cut"), CUTS)
def test_cut_connection_in_a_step_loses_and_doubles_no_row(
    fenced: Any,
    database: str,
    at: Callable[..., Callable[[], None]],
    when: int,
    cut: Callable[[Proxy], None],
) -> None:
    """The pool has another connection: the same worker finds out how it ended, and continues."""
    with proxy(database) as link, pooled(link) as pool:
        report = fenced.resume(pool, throttles=[at(when, lambda: cut(link))])
    assert (report.stop_reason, report.detail) == (StopReason.EXHAUSTED, "")
    assert (report.jobs_done, report.rows, report.rows_after_fence) == (1, 1_000, 0)
    assert report.chunks == 4
    fenced.assert_deleted()


@pytest.mark.parametrize("cut", [requests(CHUNK - 5), answers(0)], ids=["undone", "done"])
def test_cut_of_a_single_connection_stops_the_worker(
    fenced: Any,
    database: str,
    at: Callable[..., Callable[[], None]],
    cut: Callable[[Proxy], None],
) -> None:
    with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as conn:
        report: Report = fenced.resume(conn, throttles=[at(CHUNK_3, lambda: cut(link))])
    assert report.stop_reason is StopReason.FAILED
    assert report.detail
    assert report.rows == 600
    fenced.assert_exact()
    fenced.end_lease()
    fenced.resume()
    fenced.assert_deleted()


@pytest.mark.parametrize("before", ["the jobs are read", "a job is claimed"])
def test_cut_before_the_first_chunk_is_reported_and_not_raised(
    fenced: Any, database: str, before: str
) -> None:
    with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as conn:
        link.cut_answers(after=0 if before == "the jobs are read" else len("12nC12TDCZ12nCZ"))
        report: Report = fenced.resume(conn)
    assert report.stop_reason is StopReason.FAILED
    assert report.detail
    fenced.end_lease()
    fenced.resume()
    fenced.assert_deleted()
