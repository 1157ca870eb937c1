# SPDX-License-Identifier: MIT
"""Choose the class of a report, by the facts about the failure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from batchq.engine.outcome.read_only import CALLERS_OWN, READ_ONLY, why_read_only
from batchq.engine.wire.flight import CLOSING, OPENING
from batchq.language.errors import (
    BatchError,
    GuardFailed,
    InvariantViolation,
    ReadOnlyServer,
    SerializationConflict,
    StatementCanceled,
    UnmappedViolation,
)
from batchq.language.mapping import Invariant, Raises, describe
from batchq.language.value import value
from batchq.language.violation import ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.failure import Failure
    from batchq.engine.outcome.resolve import Resolution


@value
class ReportClass:
    """The class of a report, and why it is that one."""

    error: type[BatchError]
    reasons: tuple[str, ...] = ()
    """What the text adds to the description of the failure."""
    own: Mapping[str, object] = MappingProxyType({})
    """The attributes that only reports of this class have."""
    hint: str | None = ""
    """What the text suggests to the reader; None for the line of code that would map it."""


def classify(
    failure: Failure, made: str | None, without_values: BaseException | None
) -> ReportClass:
    """Return the class of the report.

    :param made: the class of the exception that the failure is mapped to, if one was made.
    :param without_values: what the caller's function has raised if it got no values, because it is
        not certain which step failed. It may have read them, so it maps nothing.

    A failure after which another attempt may succeed is not the statement's, so its mapping does
    not apply.
    """
    violation, resolution = failure.violation, failure.failed_step.resolution
    ended = failure.ended
    if violation.sqlstate in ended.ready.dialect.retryable:
        rerun = _RERUN_OUTER if ended.frame.nested else _RERUN
        return ReportClass(SerializationConflict, (rerun,), {"rerun_outer": ended.frame.nested})
    server = ended.connection.pgconn
    reason = why_read_only(failure.verdict, violation, ended.frame, server)
    if reason is not None:
        return ReportClass(ReadOnlyServer, (f"{reason}: another server may accept it",))
    if resolution is not None and resolution.for_caller is None:
        return ReportClass(InvariantViolation, (_why_invariant(resolution),))
    if violation.kind is ViolationKind.GUARD:
        return ReportClass(GuardFailed, hint=None if resolution is None else "")
    mapped: tuple[str, ...] = ()
    if resolution is not None and without_values is not None:
        mapped = (_why_not_mapped(resolution.mapping.raises, without_values),)
    elif resolution is not None:
        mapped = (f"mapped to {made or describe(resolution.mapping.raises)}",)
    is_mapped = resolution is not None and without_values is None
    hint = "" if is_mapped else None
    if hint is None and violation.sqlstate == READ_ONLY:
        hint = CALLERS_OWN
    if violation.sqlstate == _CANCELED:
        # COMMIT disables it before it does its work (PostgreSQL, tcop/postgres.c,
        # ``finish_xact_command``).
        is_frame = failure.verdict.owner in (OPENING, CLOSING)
        timeout = None if is_frame else ended.frame.timeout
        reasons = (_why_canceled(failure, timeout), *mapped)
        return ReportClass(StatementCanceled, reasons, {"timeout": timeout}, hint)
    return ReportClass(BatchError if is_mapped else UnmappedViolation, mapped, hint=hint)


_RERUN = "running the batch again may succeed"
_RERUN_OUTER = "roll back the outer transaction; running all of it again may succeed"
_CANCELED = "57014"
"""PostgreSQL documentation, appendix A: query_canceled."""


def _why_canceled(failure: Failure, timeout: float | None) -> str:
    """Return what may have canceled the statement.

    The server's message is not read, since it is translated.
    """
    if failure.verdict.owner == CLOSING:
        return "canceled by a cancel request: statement_timeout does not apply to COMMIT"
    if timeout is None:
        return "canceled by a cancel request or the session's statement_timeout; timeout= was unset"
    return f"canceled by timeout={timeout:g}, or by a cancel request before that"


def _why_not_mapped(raises: Raises | Invariant, error: BaseException) -> str:
    """Return why the caller's function, or the class, has made no exception."""
    what = f"{describe(raises)}, which" if isinstance(raises, type) else "a function that"
    return (
        f"mapped to {what} needs the values of the step, and it is not certain which step "
        f"failed: it raised {type(error).__name__}"
    )


def _why_invariant(resolution: Resolution) -> str:
    mapping = resolution.mapping
    if isinstance(mapping.raises, Invariant):
        return f"{mapping.matcher} was declared an invariant"
    return f"mapped to {describe(mapping.raises)}, but as_invariant() applies to all of it"
