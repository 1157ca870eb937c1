# SPDX-License-Identifier: MIT
"""Decide what a statement locks and writes, as far as its text shows.

Only the notes of a step depend on it, so a wrong answer changes no run.
"""

from __future__ import annotations

import re
from typing import Any

from batchq.language.guards import Bound
from batchq.language.statement import Statement
from batchq.language.syntax import Delete, Insert, RawSql, Select, Source, Update

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
    if isinstance(source, Update | Delete):
        # Without a guard it may change no row, and so hold no lock.
        return guard is not None and guard.bound is not Bound.AT_MOST and guard.rows > 0
    if isinstance(source, Insert) and source.conflict is not None:
        return source.conflict.updates  # also a row that its conditions pass over
    return _locks(source)


def _locks(source: Source) -> bool:
    if isinstance(source, RawSql):
        return _LOCKS.search(_words(source)) is not None or any(map(_locks, source.nested))
    return isinstance(source, Select) and source.lock is not None


def writes(statement: Statement[Any]) -> bool:
    """Return whether a statement changes anything that another transaction may see."""
    return _writes(statement._shape.source)


def _writes(source: Source) -> bool:
    if isinstance(source, RawSql):
        return _WRITES.search(_words(source)) is not None or any(map(_writes, source.nested))
    return isinstance(source, Insert | Update | Delete)


def _words(text: RawSql) -> str:
    return " ".join(_NO_WORDS.sub("''", " ".join(text.pieces)).split())
