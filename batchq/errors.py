# SPDX-License-Identifier: MIT
"""Every error that batchq raises while it builds or runs a batch."""

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
