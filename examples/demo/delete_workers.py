# SPDX-License-Identifier: MIT
"""Two who sweep the same job: a process that is killed at work, and one that goes on from there."""

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
from batchq.bulk import Budget, Progress, Report, Stopped, Watcher, resume
from examples.datastore.vpc_delete import TREE
from examples.demo.console import check

LEASE = timedelta(seconds=2)
"""Short, for a demo: until it ends, the job of a process that was killed is nobody else's."""
_TIMEOUT = 1.0
_ENDLESS = Budget(seconds=math.inf)
"""A busy machine may take longer than an activation does by default, and tells the same."""
_GO_ON = "go on"


def run_until_killed(conninfo: str, watcher: Watcher, rows: int) -> None:
    """Let a process sweep until so many rows are gone, then kill it.

    :param watcher: told here what a watcher is told there.
    """
    spawn = get_context("spawn")
    told, tell = spawn.Pipe()
    process = spawn.Process(target=_sweep, args=(conninfo, tell), daemon=True)
    process.start()
    tell.close()  # the process has its own: when that ends, so does what is told
    try:
        seen: Progress | Report | None = None
        while not (isinstance(seen, Progress) and seen.rows_done >= rows):
            told.send(_GO_ON)
            seen = told.recv()
            watcher(seen)
    finally:
        process.kill()
        process.join()
        told.close()
    check("what became of the process", process.exitcode, -signal.SIGKILL)


def _sweep(conninfo: str, tell: Connection) -> None:
    """Sweep, one step each time that it is told to: on a busy machine, too, it is half way when it
    is killed, and not long done."""

    def step(seen: Progress | Report) -> None:
        tell.recv()
        tell.send(seen)

    with psycopg.connect(conninfo, autocommit=True) as conn:
        resume(
            conn,
            [TREE],
            owner="first",
            lease=LEASE,
            timeout=_TIMEOUT,
            budget=_ENDLESS,
            watchers=[step],
        )


def resume_until_done(conn: psycopg.Connection[Any], watcher: Watcher) -> Report:
    """Ask for the job again and again, as cron would, until it is free; then end it."""
    report = Report()
    while report.stopped is Stopped.EXHAUSTED and not report.chunks:
        sleep(LEASE.total_seconds() / 20)
        report = resume(
            conn,
            [TREE],
            owner="second",
            lease=LEASE,
            timeout=_TIMEOUT,
            budget=_ENDLESS,
            watchers=[watcher],
        )
    return report


def rows_done_and_left(conn: psycopg.Connection[Any], job: UUID) -> tuple[int, int]:
    """How many rows a VPC's job has done, and how many rules are left: in one snapshot."""
    rows = sql(
        "SELECT rows_done, (SELECT count(*) FROM vpc_firewall_rule WHERE vpc_id = root::uuid) "
        "FROM bulk_job WHERE id = %(job)s",
        job=job,
    )
    done, left = run(conn, rows.one(tuple))
    return done, left
