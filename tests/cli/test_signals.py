# SPDX-License-Identifier: MIT
"""Ctrl-C, in a process of its own: it ends behind the chunk, or abandons it; nothing is lost."""

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
WHERE application_name = 'batchq bulk' AND pg_blocking_pids(pid) <> '{}'"""
INTERRUPTED = 130


def until_waits(conn: Any, process: Any) -> None:
    deadline = time.monotonic() + TIMEOUT
    while conn.execute(WAITS).fetchone() == (0,):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline


@pytest.fixture
def blocked(cli: Any, estate: Any, connect: Any, app: Path, database: str) -> Iterator[Any]:
    """A process that resumes, and whose second chunk waits for a row that somebody holds."""
    cli("start", TREE, 1)
    holder = connect(autocommit=False)
    holder.execute("SELECT FROM rule WHERE id = 150 FOR UPDATE")
    words = ["resume", TREE, "--most", "100", "--target", "25", "--no-progress"]
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


def ask(process: Any, signum: signal.Signals) -> None:
    process.send_signal(signum)
    assert process.stderr
    assert "once more" in process.stderr.readline()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_the_first_ends_it_behind_the_chunk_and_frees_the_job(blocked, estate, cli, signum):
    process, holder = blocked
    ask(process, signum)
    holder.rollback()
    out, _ = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, "asked to stop" in out) == (INTERRUPTED, True)
    assert estate.execute("SELECT rows_done, lease_until, phase FROM bulk_job").fetchone() == (
        200,
        None,
        "drain",
    )
    assert cli("resume", TREE).exit_code == 0
    assert estate.execute("SELECT rows_done FROM bulk_job").fetchone() == (1_000,)


def test_the_second_abandons_the_chunk_and_keeps_nothing_of_it(blocked, estate):
    process, holder = blocked
    ask(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, "abandoned" in err) == (INTERRUPTED, True)
    holder.rollback()
    rows = "SELECT rows_done, (SELECT count(*) FROM rule WHERE vpc_id = 1) FROM bulk_job"
    assert estate.execute(rows).fetchone() == (100, 900)
