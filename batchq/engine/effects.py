# SPDX-License-Identifier: MIT
"""Decide what a statement locks and writes, as far as its text shows.

Only the notes of a step depend on it, so a wrong answer changes no run.
"""

from __future__ import annotations

import re
from typing import Any

from batchq.language.guards import Bound
from batchq.language.statement import Statement
from batchq.language.syntax import Delete, Insert, RawSql, Select, Update

_NO_WORDS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_LOCKS = re.compile(
    r"\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b|\bFOR\s+(?:KEY\s+)?SHARE\b|\bpg_advisory_xact_lock"
    r"|^\s*LOCK\b",
    re.IGNORECASE,
)
_WRITES = re.compile(r"(?<!FOR )(?<!KEY )\b(?:INSERT|UPDATE|DELETE|MERGE|CALL)\b", re.IGNORECASE)


def locks(statement: Statement[Any]) -> bool:
    """Return whether a statement certainly holds a row lock after it has run."""
    source, guard = statement._shape.source, statement._shape.guard
    if isinstance(source, Select):
        return source.lock is not None
    if isinstance(source, RawSql):
        return _LOCKS.search(_words(source)) is not None
    # A statement that may change no row may hold no lock.
    at_least_one = guard is not None and guard.bound is not Bound.AT_MOST and guard.rows > 0
    return isinstance(source, Update | Delete) and at_least_one


def writes(statement: Statement[Any]) -> bool:
    """Return whether a statement changes anything that another transaction may see."""
    source = statement._shape.source
    if isinstance(source, RawSql):
        return _WRITES.search(_words(source)) is not None
    return isinstance(source, Insert | Update | Delete)


def _words(text: RawSql) -> str:
    return " ".join(_NO_WORDS.sub("''", " ".join(text.pieces)).split())
