# SPDX-License-Identifier: MIT
"""Compose SQL statements, each with the errors it may raise, and run them in one round trip.

A batch is one transaction: either every statement takes effect, or none does.

>>> import batchq
>>> batch = batchq.gather(
...     batchq.update("account", {"projects": batchq.sql("projects + 1")}, {"id": 1})
...     .expect(1, missing=LookupError("no such account")),
...     batchq.insert("project", {"account_id": 1, "name": "web"})
...     .on(batchq.unique("project_account_id_name_key"), ValueError("name taken")),
... )
>>> [step.statement.title for step in batchq.steps(batch)]
['update account', 'insert project']

Submodules: :mod:`batchq.result` (failures as values), :mod:`batchq.conditions` (comparisons other
than by ``=``), :mod:`batchq.hierarchy` (parents and children), :mod:`batchq.limits`,
:mod:`batchq.bulk`, :mod:`batchq.testing`, :mod:`batchq.errors`, :mod:`batchq.types`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from batchq.errors import (
    BatchError,
    ConnectionFailed,
    DeadlineExceeded,
    DecodeFailed,
    GuardFailed,
    InvalidBatch,
    InvariantViolation,
    OutcomeUnknown,
    ReadOnlyServer,
    SerializationConflict,
    StatementCanceled,
    UnmappedViolation,
)
from batchq.language.batch import Batch
from batchq.language.builders import insert, sql
from batchq.language.changes import delete, update
from batchq.language.compose import gather, into, sequence
from batchq.language.created import created
from batchq.language.join import source
from batchq.language.matchers import (
    check,
    exclusion,
    foreign_key,
    missing,
    not_null,
    sqlstate,
    unexpected,
    unique,
    unmet,
)
from batchq.language.old import old
from batchq.language.optional import optional
from batchq.language.outcome import Outcome
from batchq.language.parameters import param, row
from batchq.language.selects import select
from batchq.language.sort_keys import asc, desc
from batchq.language.statement import Statement
from batchq.language.step import Step
from batchq.language.templates import format_error
from batchq.language.violation import Violation
from batchq.patterns.insert_or_advance import insert_or_advance
from batchq.patterns.insert_or_get import insert_or_get

if TYPE_CHECKING:
    from batchq.running.explain import explain, steps
    from batchq.running.retry import Retry
    from batchq.running.run import arun, run

__all__ = [
    "Batch",
    "BatchError",
    "ConnectionFailed",
    "DeadlineExceeded",
    "DecodeFailed",
    "GuardFailed",
    "InvalidBatch",
    "InvariantViolation",
    "Outcome",
    "OutcomeUnknown",
    "ReadOnlyServer",
    "Retry",
    "SerializationConflict",
    "Statement",
    "StatementCanceled",
    "Step",
    "UnmappedViolation",
    "Violation",
    "arun",
    "asc",
    "check",
    "created",
    "delete",
    "desc",
    "exclusion",
    "explain",
    "foreign_key",
    "format_error",
    "gather",
    "insert",
    "insert_or_advance",
    "insert_or_get",
    "into",
    "missing",
    "not_null",
    "old",
    "optional",
    "param",
    "row",
    "run",
    "select",
    "sequence",
    "source",
    "sql",
    "sqlstate",
    "steps",
    "unexpected",
    "unique",
    "unmet",
    "update",
]

# The engine and the driver are imported when a batch is first run or explained: a module that only
# composes statements, or names their errors, does not wait for them.
_RUNNING = {
    "Retry": "batchq.running.retry",
    "arun": "batchq.running.run",
    "explain": "batchq.running.explain",
    "run": "batchq.running.run",
    "steps": "batchq.running.explain",
}


def __getattr__(name: str) -> object:
    """Import what runs or explains a batch."""
    if name not in _RUNNING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_RUNNING[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_RUNNING})
