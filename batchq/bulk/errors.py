# SPDX-License-Identifier: MIT
"""What a long delete can meet. None of them loses a row's count: the chunk was rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from batchq.language.batch import Batch


class LeaseLost(Exception):
    """Somebody else owns the job, or has gone on with it: this chunk was not the next one."""


class TooMany(Exception):
    """There are too many children for one batch: fence the parent and drain them in chunks."""

    def __init__(self, table: str, most: int) -> None:
        super().__init__(table, most)
        self.table = table
        self.most = most


class LateRows(Exception):
    """Children are left that should be gone.

    They came behind the fence, from somebody who inserts them without bumping the living parent; or
    a trigger, a rule or a policy keeps them; or they have children of their own that do not go.
    """

    def __init__(self, table: str, key: object) -> None:
        super().__init__(table, key)
        self.table = table
        self.key = key
        """The key of one of them."""


class FenceMoved(Exception):
    """The parent is no longer as it was fenced: brought back, changed, or removed by others."""

    def __init__(self, root: str, look: Batch[str]) -> None:
        super().__init__(root)
        self.root = root
        """The parent's key, as text."""
        self.look = look
        """Finds out which it is, and says it in words."""


class ParentKept(Exception):
    """The server keeps the parent's row, though nothing forbids that it goes: a trigger does."""


class UnfitOrderKey(Exception):
    """Rows cannot be swept by the order key that was said. Nothing of the chunk was kept."""


class AlreadyBegun(Exception):
    """A job of that name is not finished: let it end, or look why it is stuck."""


class AlreadyFenced(AlreadyBegun):
    """A job of an earlier fence of this parent is not finished: the parent was brought back.

    ``tree.jobs.abandon(job)`` ends it; then the parent can be fenced again.
    """

    def __init__(self, tree: str, job: UUID) -> None:
        super().__init__(tree, job)
        self.tree = tree
        self.job = job
        """The one that is not finished."""

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"{self.tree}: job {self.job} of an earlier fence of this parent is not finished: "
            f"tree.jobs.abandon(UUID({str(self.job)!r})) ends it, and then it can be fenced again"
        )
