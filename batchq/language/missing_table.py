# SPDX-License-Identifier: MIT
"""Recognize a statement that failed because a table of batchq does not exist."""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import field, frozen

from batchq.language.matchers import Matcher
from batchq.language.spelling import spelled
from batchq.language.violation import Violation

_UNDEFINED_TABLE = "42P01"
"""The SQLSTATE undefined_table (PostgreSQL documentation, appendix A)."""


@frozen(eq=False)
class MissingTable(Matcher):
    """Match a statement that failed because one table does not exist, and no other table."""

    table: str = field(kw_only=True)

    def matches(self, violation: Violation) -> bool:
        """Return True if the server has not found this table."""
        # The message is translated, and its quotation marks too: "x", »x«, « x ». The name is not.
        quoted = rf"[^\w\s.$]\s?{re.escape(self.table)}\s?[^\w\s.$]"
        return super().matches(violation) and re.search(quoted, violation.message) is not None

    def __str__(self) -> str:
        """Return the SQLSTATE and the table."""
        return f"{super().__str__()} of {spelled(self.table)}"


@lru_cache(maxsize=64)
def missing_table(table: str) -> Matcher:
    """Match the failure of a statement because ``table`` does not exist."""
    return MissingTable(sqlstate=_UNDEFINED_TABLE, table=table)
