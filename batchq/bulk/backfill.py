# SPDX-License-Identifier: MIT
"""Update rows in chunks: stamp them with a new version, fill a column.

A backfill ends when a whole scan has found nothing to update. Keeping new rows from becoming due is
the job of a constraint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from batchq.bulk.chunks.scan_order import ScanOrder
from batchq.bulk.job import Job
from batchq.bulk.table_task import TableTask
from batchq.language.argument_types import is_of
from batchq.language.batch import Batch
from batchq.language.changes import update
from batchq.language.errors import InvalidBatch
from batchq.language.statement import Statement

if TYPE_CHECKING:
    from batchq.language.inputs import Where

_STILL_DUE = (
    "rows of {table} are due after every scan: they keep being inserted, or a trigger, a rule or a "
    "policy keeps them as they are or sets them back, or set= does not make where= false"
)


@frozen(kw_only=True)
class Backfill(TableTask):
    """Rows of a table to update, however many there are. An updated row must not be due.

    >>> from batchq import sql, steps
    >>> restamp = Backfill(
    ...     name="rules-v2",
    ...     table="vpc_firewall_rule",
    ...     set={"row_version": 2},
    ...     where=sql("row_version < 2"),
    ... )
    >>> [step.statement.title for step in steps(restamp.start())]
    ['insert bulk_job']
    """

    set: Mapping[str, object]
    """As for :func:`~batchq.update`."""

    IN_PLACE: ClassVar = True

    def __attrs_post_init__(self) -> None:
        """Reject a backfill that might not end, or that could not be executed."""
        if not is_of(self.set, Mapping):
            raise InvalidBatch(
                f"Backfill({self.name!r}): set=: pass a mapping of columns to values, not "
                f'{type(self.set).__name__}; write set={{"column": …}}'
            )
        super().__attrs_post_init__()
        if moved := [name for name in self.order if name in self.set]:
            raise InvalidBatch(
                f"Backfill({self.name!r}): set= changes {', '.join(map(repr, moved))}, a part of "
                f"the order key, so that rows may move ahead and be found again; order= other "
                f"columns"
            )

    def mutation(self, where: Where) -> Statement[None]:
        """Update the rows that meet some conditions."""
        return update(self.table, self.set, where=where)

    def scan_order(self, root: object) -> Batch[ScanOrder] | None:  # noqa: ARG002  no choice
        """Return None: an update puts new rows ahead into the heap."""
        return None

    def finish(self, job: Job) -> Batch[Job]:
        """End a job whose last scan has found nothing; otherwise restart it.

        It does not end before it is certain that no row was left out: neither for a NULL in its
        order key, nor for a lock, nor because a policy hides it from this role.
        """
        if job.scan_rows == 0 and not job.skipped_locked:
            return self._seeing_all(self._checked(self.jobs.mark_done(job)))
        return self._seeing_all(self.jobs.restart(job, _STILL_DUE.format(table=self.table)))
