# SPDX-License-Identifier: MIT
"""Export the errors that batchq raises while a batch is built or run."""

from __future__ import annotations

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

__all__ = [
    "BatchError",
    "ConnectionFailed",
    "DeadlineExceeded",
    "DecodeFailed",
    "GuardFailed",
    "InvalidBatch",
    "InvariantViolation",
    "OutcomeUnknown",
    "ReadOnlyServer",
    "SerializationConflict",
    "StatementCanceled",
    "UnmappedViolation",
]
