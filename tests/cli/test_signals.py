# SPDX-License-Identifier: MIT
"""Ctrl-C in a subprocess: the first stops after the chunk, the second aborts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TREE
from tests.support.lock_waits import TIMEOUT

WAITS = """SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'batchq bulk resume' AND pg_blocking_pids(pid) <> '{}'"""
INTERRUPTED = 130


def until_waits(conn: Any, process: Any) -> None:
    deadline = time.monotonic() + TIMEOUT
    while conn.execute(WAITS).fetchone() == (0,):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline


@pytest.fixture
def blocked(cli: Any, estate: Any, connect: Any, app: Path, database: str) -> Iterator[Any]:
    """Start a `resume` process whose second chunk waits for a row that `holder` has locked."""
    cli("start", TREE, 1)
    holder = connect(autocommit=False)
    holder.execute("SELECT FROM rule WHERE id = 150 FOR UPDATE")
    words = ["resume", TREE, "--max-chunk-rows", "100", "--chunk-seconds", "25", "--no-progress"]
    words += ["--timeout", "300", "--lease", "3600"]
    started = subprocess.Popen(
        [sys.executable, "-m", "batchq", "bulk", *words],
        env={**os.environ, "DATABASE_URL": database},
        cwd=app,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            until_waits(estate, started)
            yield started, holder
        finally:
            started.kill()


def send_first(process: Any, signum: signal.Signals) -> None:
    process.send_signal(signum)
    assert process.stderr
    assert "again to abort" in process.stderr.readline()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_first_signal_stops_after_the_chunk_and_releases_the_job(blocked, estate, cli, signum):
    process, holder = blocked
    send_first(process, signum)
    holder.rollback()
    out, _ = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, "asked to stop" in out) == (INTERRUPTED, True)
    assert estate.execute("SELECT rows_done, lease_until, phase FROM bulk_job").fetchone() == (
        200,
        None,
        "active",
    )
    assert cli("resume", TREE).exit_code == 0
    assert estate.execute("SELECT rows_done FROM bulk_job").fetchone() == (1_000,)


def test_second_signal_aborts_the_chunk_and_applies_none_of_it(blocked, estate):
    process, holder = blocked
    send_first(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, "Aborted" in err) == (INTERRUPTED, True)
    holder.rollback()
    rows = "SELECT rows_done, (SELECT count(*) FROM rule WHERE vpc_id = 1) FROM bulk_job"
    assert estate.execute(rows).fetchone() == (100, 900)
