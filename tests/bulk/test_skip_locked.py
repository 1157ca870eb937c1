# SPDX-License-Identifier: MIT
"""The two forms of a chunk: one waits for locked rows, the other skips them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from batchq import run
from batchq.bulk import FenceBroken
from batchq.bulk.worker.locked_rows import LockedRows
from batchq.result import Failed, attempt

LEASE = timedelta(minutes=1)


@pytest.mark.parametrize("skip_locked", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vpc SET time_deleted = NULL WHERE id = 1",
        "UPDATE vpc SET rcgen = rcgen + 1 WHERE id = 1",
        "DELETE FROM vpc WHERE id = 1",
        "ALTER TABLE rule RENAME TO old; CREATE TABLE rule (LIKE old INCLUDING ALL)",
    ],
)
def test_chunk_that_skips_locked_rows_checks_the_fence(
    fenced: Any, change: str, skip_locked: bool
) -> None:
    owned = fenced.claimed()
    for command in change.split(";"):
        fenced.conn.execute(command)
    answer = attempt(fenced.conn, fenced.tree.chunk(owned, 100, LEASE, skip_locked=skip_locked))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, FenceBroken)
    assert fenced.job("rows_done, seq") == (0, 0)


def test_chunk_that_skips_locked_rows_waits_for_a_restore(fenced: Any, connect: Any) -> None:
    """The parent is never passed over: what happens to it decides."""
    owned = fenced.claimed()
    with connect() as restorer, restorer.transaction():
        restorer.execute("UPDATE vpc SET time_deleted = NULL WHERE id = 1")
        answer = attempt(
            fenced.conn, fenced.tree.chunk(owned, 100, LEASE, skip_locked=True), timeout=0.25
        )
    assert isinstance(answer, Failed)
    assert answer.report.violation is not None
    assert answer.report.violation.sqlstate == "57014"


@pytest.mark.parametrize("skip_locked", [True, False])
def test_both_forms_of_a_chunk_delete_the_same_rows(fenced: Any, skip_locked: bool) -> None:
    owned = fenced.claimed()
    first = run(fenced.conn, fenced.tree.chunk(owned, 100, LEASE, skip_locked=skip_locked))
    assert (first.rows, first.full, first.cursor, first.skipped) == (100, True, ["100"], False)
    there = evolve(owned, seq=first.seq, cursor=first.cursor, cursor_key=first.cursor_key)
    second = run(fenced.conn, fenced.tree.chunk(there, 5_000, LEASE, skip_locked=skip_locked))
    assert (second.rows, second.full, second.stage, second.skipped) == (900, False, 1, False)


# -- which form ------------------------------------------------------------------------------------


def test_chunks_wait_until_one_was_canceled() -> None:
    locked = LockedRows()
    assert not locked.skip
    locked.canceled(300)
    for _ in range(3):
        assert locked.skip
        locked.committed("rule", 100, skipped=False)
    assert not locked.skip


def test_scan_that_has_skipped_rows_does_not_wait_again() -> None:
    locked = LockedRows()
    locked.canceled(10)
    locked.committed("rule", 10, skipped=True)
    locked.committed("router", 10, skipped=True)
    locked.committed("rule", 10_000, skipped=False)
    assert locked.skip
    assert "rule, router" in str(locked.end_scan())
    assert not locked.skip
    assert locked.end_scan() is None
