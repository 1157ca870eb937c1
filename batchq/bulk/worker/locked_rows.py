# SPDX-License-Identifier: MIT
"""Rows that others have locked: a sweep waits for them once, then goes around, and comes back.

A chunk waits for a row that another transaction holds, and all its siblings with it. So what was
canceled is asked for anew, without the rows that are locked. They are still there when the sweep
ends: then it begins again, and waits again, as long as it finds others to take. When it does not,
the job is left to the next activation.

Pure: which form the next chunk has, and what comes behind the last one. See docs/adr/0032.
"""

from __future__ import annotations

import math

from attrs import define, field


@define
class LockedRows:
    """What one sweep knows of locked rows."""

    _rows: float = 0
    """How many are to be asked for before a chunk waits again."""
    _tables: dict[str, None] = field(factory=dict[str, None])
    """Where some were passed over, as far as this activation knows."""

    @property
    def next(self) -> bool:
        """Whether the next chunk goes around what is locked."""
        return self._rows > 0

    def canceled(self, rows: int) -> None:
        """A chunk waited too long, for a lock or for its own size: nobody says which."""
        self._rows = max(self._rows, rows)

    def took(self, table: str, asked: int, *, passed: bool) -> None:
        """A chunk is done.

        :param passed: whether it passed over some; then the sweep waits no more.
        """
        self._rows = math.inf if passed else max(self._rows - asked, 0)
        if passed:
            self._tables[table] = None

    def end(self) -> str | None:
        """The sweep is over, and the next one waits again for what is locked.

        :return: why there is no sense in another one now, if it took no row; None where it was an
            earlier activation that passed over some.
        """
        where = ", ".join(self._tables)
        self._rows = 0
        self._tables.clear()
        if not where:
            return None
        return f"all that is left is locked by others: {where}; whoever resumes next goes on"
