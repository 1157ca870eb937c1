# SPDX-License-Identifier: MIT
"""Errors of chunked deletes and backfills.

Each is raised for a transaction that was rolled back: no row is counted for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from batchq.language.batch import Batch


class LeaseLost(Exception):
    """Another worker holds the job's lease, or has committed a later chunk of the job."""


class TooManyRows(Exception):
    """There are too many children for one batch: fence the parent and delete them in chunks."""

    def __init__(self, table: str, limit: int) -> None:
        super().__init__(table, limit)
        self.table = table
        self.limit = limit

    def __str__(self) -> str:
        """Name the table, and what to do instead."""
        return (
            f"{self.table}: more than {self.limit:,} rows are too many for one batch: call "
            f"start(), or fence() and resume(), which delete them in chunks"
        )


class RowsAfterFence(Exception):
    """Children are left after the last chunk.

    Either a writer inserted them without touching the living parent, so that the fence did not stop
    it; or a trigger, a rule or a policy keeps them; or they have children that are not deleted.
    """

    def __init__(self, table: str, key: object) -> None:
        super().__init__(table, key)
        self.table = table
        self.key = key
        """The key of one of them."""

    def __str__(self) -> str:
        """Name the table and one of the rows."""
        return f"{self.table}: rows are left after the last chunk, such as {self.key}"


class FenceBroken(Exception):
    """The parent is no longer as it was when it was fenced: restored, changed or deleted."""

    def __init__(self, root: str, diagnosis: Batch[str]) -> None:
        super().__init__(root)
        self.root = root
        """The parent's key, as text."""
        self.diagnosis = diagnosis
        """Reads what has changed, and returns it as text."""


class ParentKept(Exception):
    """A trigger or a rule keeps the parent's row, although no constraint forbids the delete."""


class NoJobTable(Exception):
    """The job table does not exist."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table

    def __str__(self) -> str:
        """Name the table, and how to create it."""
        return (
            f"the job table {self.table!r} does not exist: the search path leads to no such "
            f"table; create it in a migration with the DDL that task.jobs.ddl() returns"
        )


class InvalidOrderKey(Exception):
    """Rows cannot be scanned in the order of these columns. The chunk was rolled back."""


class JobExists(Exception):
    """There is an unfinished job of this task, or of an earlier fence of this parent."""

    def __init__(self, task: str, job: UUID | None = None) -> None:
        super().__init__(task, job)
        self.task = task
        """The name of the task."""
        self.job = job
        """The unfinished job of an earlier fence; None for a task without a parent."""

    def __str__(self) -> str:
        """Name the job, and how to end it."""
        if self.job is None:
            return (
                f"{self.task}: a job of this name is not finished: resume() it, or read its "
                f"last_error if it is stuck"
            )
        return (
            f"{self.task}: job {self.job} of an earlier fence of this parent is not finished: "
            f"tree.jobs.abandon(UUID({str(self.job)!r})) ends it, and then it can be fenced again"
        )
