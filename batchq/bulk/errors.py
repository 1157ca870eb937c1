# SPDX-License-Identifier: MIT
"""What a long delete can meet. None of them loses a row's count: the chunk was rolled back."""

from __future__ import annotations


class LeaseLost(Exception):
    """Somebody else owns the job, or has gone on with it: this chunk was not the next one."""


class TooMany(Exception):
    """There are too many children for one batch: fence the parent and drain them in chunks."""

    def __init__(self, table: str, most: int) -> None:
        super().__init__(table, most)
        self.table = table
        self.most = most


class LateRows(Exception):
    """Children came behind the fence: somebody inserts them without bumping the living parent."""

    def __init__(self, table: str, key: object) -> None:
        super().__init__(table, key)
        self.table = table
        self.key = key
        """The key of one of them."""


class FenceMoved(Exception):
    """The parent is no longer as it was fenced: brought back, changed, or removed by others."""


class AlreadyBegun(Exception):
    """A job of that name is not finished: let it end, or look why it is stuck."""
