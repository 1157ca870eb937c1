# SPDX-License-Identifier: MIT
"""Statements that know their failures, composed into one transaction, in one round trip.

>>> import batchq
>>> batch = batchq.gather(
...     batchq.update("silo", {"rcgen": batchq.sql("rcgen + 1")}, {"id": 1})
...     .expect(1, missing=LookupError("no such silo")),
...     batchq.insert("project", {"silo_id": 1, "name": "web"})
...     .on(batchq.unique("project_silo_id_name_key"), ValueError("name taken")),
... )
>>> [step.statement.title for step in batch.steps()]
['update silo', 'insert project']
"""

from __future__ import annotations

from batchq.language.batch import Batch
from batchq.language.builders import delete, insert, select, sql, update
from batchq.language.compose import gather, into, sequence
from batchq.language.errors import (
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
from batchq.language.existence import forbid, lock, require
from batchq.language.matchers import (
    Matcher,
    check,
    exclusion,
    foreign_key,
    not_null,
    sqlstate,
    unique,
)
from batchq.language.outcome import Outcome
from batchq.language.outputs import Output
from batchq.language.statement import Statement
from batchq.language.step import Step
from batchq.language.templates import saying
from batchq.language.violation import Kind, Violation
from batchq.patterns.hierarchy import Children, Parent
from batchq.patterns.insert_or_get import Got, insert_or_get
from batchq.running.result import Failed, Ok
from batchq.running.retry import Retry, Retrying
from batchq.running.run import aattempt, arun, attempt, run

__all__ = [
    "Batch",
    "BatchError",
    "Children",
    "ConnectionFailed",
    "DeadlineExceeded",
    "DecodeFailed",
    "Failed",
    "Got",
    "GuardFailed",
    "InvalidBatch",
    "InvariantViolation",
    "Kind",
    "Matcher",
    "Ok",
    "Outcome",
    "OutcomeUnknown",
    "Output",
    "Parent",
    "ReadOnlyServer",
    "Retry",
    "Retrying",
    "SerializationConflict",
    "Statement",
    "StatementCanceled",
    "Step",
    "UnmappedViolation",
    "Violation",
    "aattempt",
    "arun",
    "attempt",
    "check",
    "delete",
    "exclusion",
    "forbid",
    "foreign_key",
    "gather",
    "insert",
    "insert_or_get",
    "into",
    "lock",
    "not_null",
    "require",
    "run",
    "saying",
    "select",
    "sequence",
    "sql",
    "sqlstate",
    "unique",
    "update",
]
