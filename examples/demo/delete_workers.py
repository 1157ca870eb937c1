# SPDX-License-Identifier: MIT
"""Two workers on the same job: a process that is killed, and one that continues."""

from __future__ import annotations

import math
import signal
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import sleep
from typing import Any
from uuid import UUID

import psycopg

from batchq import run, sql
from batchq.bulk import Budget, Progress, Report, StopReason, resume
from batchq.bulk.progress.events import Observer
from examples.datastore.vpc_delete import TREE
from examples.demo.console import check

LEASE = timedelta(seconds=2)
"""Short, for a demo: until it expires, no other worker can claim the job of a killed process."""
_TIMEOUT = 1.0
_ENDLESS = Budget(seconds=math.inf)
"""No limit: on a busy machine a worker may need longer than the default."""
_NEXT = "next"


def run_until_killed(conninfo: str, observer: Observer, rows: int) -> None:
    """Run a worker process until it has deleted this many rows, then kill it.

    :param watcher: receives the events of that process.
    """
    spawn = get_context("spawn")
    parent_end, child_end = spawn.Pipe()
    process = spawn.Process(target=_work, args=(conninfo, child_end), daemon=True)
    process.start()
    child_end.close()  # the process has its own copy: recv() ends when that is closed
    try:
        seen: Progress | Report | None = None
        while not (isinstance(seen, Progress) and seen.rows_done >= rows):
            parent_end.send(_NEXT)
            seen = parent_end.recv()
            observer(seen)
    finally:
        process.kill()
        process.join()
        parent_end.close()
    check("exit code of the process", process.exitcode, -signal.SIGKILL)


def _work(conninfo: str, pipe: Connection) -> None:
    """Delete one chunk for each message: so the process is half way when it is killed, and not
    finished, however busy the machine is."""

    def step(seen: Progress | Report) -> None:
        pipe.recv()
        pipe.send(seen)

    with psycopg.connect(conninfo, autocommit=True) as conn:
        resume(
            conn,
            [TREE],
            owner="first",
            lease=LEASE,
            timeout=_TIMEOUT,
            budget=_ENDLESS,
            observers=[step],
        )


def resume_until_done(conn: psycopg.Connection[Any], observer: Observer) -> Report:
    """Call resume repeatedly, as cron would, until the lease has expired; then finish the job."""
    report = Report()
    while report.stop_reason is StopReason.EXHAUSTED and not report.chunks:
        sleep(LEASE.total_seconds() / 20)
        report = resume(
            conn,
            [TREE],
            owner="second",
            lease=LEASE,
            timeout=_TIMEOUT,
            budget=_ENDLESS,
            observers=[observer],
        )
    return report


def rows_done_and_left(conn: psycopg.Connection[Any], job: UUID) -> tuple[int, int]:
    """Return the rows that a VPC's job has done, and the rules left, in one snapshot."""
    rows = sql(
        "SELECT rows_done, (SELECT count(*) FROM vpc_firewall_rule WHERE vpc_id = root::uuid) "
        "FROM bulk_job WHERE id = %(job)s",
        job=job,
    )
    done, left = run(conn, rows.one(tuple))
    return done, left
