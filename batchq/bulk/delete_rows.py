# SPDX-License-Identifier: MIT
"""Delete rows by a condition, in chunks: old jobs, sessions, events.

A job ends after one scan, whatever has become due since: the next job deletes that. So it ends even
if rows become due as fast as they are deleted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from attrs import evolve, frozen

from batchq.bulk.chunks.heap_chunk import first_block, heap_chunk, is_heap_chunk
from batchq.bulk.chunks.record import Chunk
from batchq.bulk.chunks.scan_order import ScanOrder, scan_order
from batchq.bulk.job import Job
from batchq.bulk.jobs import MAX_RESTARTS
from batchq.bulk.table_task import TableTask
from batchq.language.batch import Batch
from batchq.language.changes import delete
from batchq.language.statement import Statement

if TYPE_CHECKING:
    from batchq.language.inputs import Where


@frozen(kw_only=True)
class DeleteRows(TableTask):
    """Rows of a table to delete, however many there are.

    >>> from datetime import UTC, datetime, timedelta
    >>> from batchq import steps
    >>> from batchq.conditions import lt
    >>> old = DeleteRows(
    ...     name="old-sessions",
    ...     table="session",
    ...     where=lambda start: {"expires_at": lt(start - timedelta(days=30))},
    ... )
    >>> [step.statement.title for step in steps(old.start())]
    ['insert bulk_job']
    """

    IN_PLACE: ClassVar = False

    def mutation(self, where: Where) -> Statement[None]:
        """Delete the rows that meet some conditions."""
        return delete(self.table, where=where)

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """Delete the next rows that are due, in the order in which the scan has begun.

        :param skip_locked: skip rows that other transactions have locked, instead of waiting.
        """
        if not is_heap_chunk(job):
            return super().chunk(job, rows, lease, skip_locked=skip_locked)
        return heap_chunk(
            self.table,
            self._due(job.created_at),
            job,
            jobs=self.jobs.table,
            fence=None,
            rows=rows,
            lease=lease,
            skip_locked=skip_locked,
        )

    def scan_order(self, root: object) -> Batch[ScanOrder] | None:  # noqa: ARG002  there is only one
        """Choose the order of the scan; None if it can only be that of the key.

        That is so if the key begins with a range that holds the rows: then no other row is read.
        """
        if self._range(self._due(datetime.now(UTC))):
            return None
        return scan_order(self.order_key, self.due_now(), "due")

    def finish(self, job: Job) -> Batch[Job]:
        """End a job after its scan.

        A scan in the order of the heap that has found rows is repeated, within limits: an update
        may have moved a row to a block that was read already.

        It does not end before it is certain that no row was left out: neither for a NULL in its
        order key, nor because a policy hides it from this role. A job that has skipped locked rows
        is restarted before.
        """
        if is_heap_chunk(job) and job.scan_rows and job.restarts < MAX_RESTARTS:
            return self._seeing_all(self.rescan(evolve(job, restarts=job.restarts + 1)))
        return self._seeing_all(self._checked(self.jobs.mark_done(job)))

    def rescan(self, job: Job) -> Statement[Job]:
        """Restart a job for locked rows that were skipped, in the same order."""
        return self.jobs.rescan(job, first_block(job) if is_heap_chunk(job) else None)
