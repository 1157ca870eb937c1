# SPDX-License-Identifier: MIT
"""Rows that other transactions have locked: when to wait for them and when to skip them.

A chunk waits for a locked row, and all its siblings wait with it. So a chunk that was canceled is
sent again with SKIP LOCKED. The skipped rows are still there at the end of the scan. Then the job
is restarted and its chunks wait again, as long as each scan deletes other rows. If a scan deletes
none, the job is released for the next worker.

Pure: it decides the form of the next chunk, and what follows the last one. See docs/adr/0032.
"""

from __future__ import annotations

import math

from attrs import define, field


@define
class LockedRows:
    """What one scan knows of locked rows."""

    _rows: float = 0
    """How many rows to ask for with SKIP LOCKED before a chunk waits again."""
    _tables: dict[str, None] = field(factory=dict[str, None])
    """The tables in which this worker has skipped rows."""

    @property
    def skip(self) -> bool:
        """Return whether the next chunk skips locked rows."""
        return self._rows > 0

    def canceled(self, rows: int) -> None:
        """Record that a chunk timed out, for a lock or for its size: the server does not say."""
        self._rows = max(self._rows, rows)

    def committed(self, table: str, asked: int, *, skipped: bool) -> None:
        """Record that a chunk was committed.

        :param skipped: whether it skipped rows; then the rest of the scan does not wait.
        """
        self._rows = math.inf if skipped else max(self._rows - asked, 0)
        if skipped:
            self._tables[table] = None

    def end_scan(self) -> str | None:
        """Let the next scan wait for locked rows again.

        :return: why another scan would be of no use now if this one has deleted no row; None if
            rows were skipped by an earlier worker only.
        """
        tables = ", ".join(self._tables)
        self._rows = 0
        self._tables.clear()
        if not tables:
            return None
        return (
            f"all rows that are left are locked by other transactions: {tables}; the next worker "
            f"tries again"
        )
