# SPDX-License-Identifier: MIT
"""What a batch takes on top of its parameters, at the most, in a process that has done little else.

Python's part is traced. libpq's buffers and results are not Python's, so the process as a whole is
looked at as well, where the system tells its peak (Linux).

It is ``python -m benchmarks.memory CONNINFO VPC_ID STATEMENTS``, and prints bytes a statement.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from uuid import UUID

import psycopg
from attrs import asdict

from batchq import run
from benchmarks.inserts import rules, rules_insert
from benchmarks.results import Memory

_STATUS = Path("/proc/self/status")


def memory(conninfo: str, vpc_id: UUID, statements: int) -> Memory:
    """Measure in a process of its own."""
    done = subprocess.run(  # noqa: S603  ourselves
        [sys.executable, "-m", "benchmarks.memory", conninfo, str(vpc_id), str(statements)],
        cwd=Path(__file__).parent.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return Memory(**json.loads(done.stdout))


def _measured(conninfo: str, vpc_id: UUID, statements: int) -> Memory:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for number in range(3):  # prepared, and everything imported
            run(conn, rules_insert(rules(vpc_id, range(number * 10, number * 10 + 10))))
        first, second = (
            rules(vpc_id, range(begin, begin + statements)) for begin in (100, 100 + statements)
        )
        gc.collect()
        before = _resident("VmRSS")
        run(conn, rules_insert(first))
        resident = _resident("VmHWM") - before
        gc.collect()
        tracemalloc.start()
        run(conn, rules_insert(second))
        _, traced = tracemalloc.get_traced_memory()
    return Memory(statements, traced / statements, resident / statements)


def _resident(what: str) -> int:
    """Bytes, now (VmRSS) or at the most (VmHWM); 0 where nobody tells."""
    if not _STATUS.exists():
        return 0
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[what].split()[0]) * 1024


if __name__ == "__main__":
    _, conninfo, vpc_id, statements = sys.argv
    print(json.dumps(asdict(_measured(conninfo, UUID(vpc_id), int(statements)))))
