# SPDX-License-Identifier: MIT
"""Conclude transactions that have ended: the result of each, or the report of its failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchq.engine.outcome.attribute import Verdict
from batchq.engine.outcome.decode import decode
from batchq.engine.outcome.overdue import overdue
from batchq.engine.outcome.report import driver_error, report
from batchq.engine.result import Failed, Ok
from batchq.language.errors import DecodeFailed

if TYPE_CHECKING:
    from batchq.engine.result import Result
    from batchq.engine.transaction import Transaction
    from batchq.engine.wire.deadline import Deadline


def conclude(transactions: Sequence[Transaction], broken: Exception | None = None) -> list[Result]:
    """Return the result of each transaction of one flight, as the answers prove it.

    Give back the Transformer that they share, if it is as good as a new one.

    :param broken: the error that ended the waiting, if one did. The answers received before it
        still count.
    """
    results: list[Result] = []
    is_as_new: bool = True
    for transaction in transactions:
        if not transaction.is_well:
            results.append(_failed(transaction, broken))
            is_as_new = is_as_new and _leaves_as_new(transaction)
            continue
        ready, repeated = transaction.ready, transaction.repeated
        kept, transformer = ready.kept, transaction.transformer
        program, kinds = ready.encoded.program, ready.encoded.kinds
        answers: Sequence[Any] = transaction.slots.answers
        is_as_new = (
            is_as_new
            and repeated is not None
            and transformer is kept.transformer
            and (kept.loads.get(repeated) or kept.loads_stateless(repeated, answers))
            and (kinds <= kept.stateless or kept.dumps_stateless(kinds))
        )
        if repeated is None:
            answers = transaction.sent.step_answers(answers, len(program.steps))
        else:
            answers = answers[repeated.of_steps]
        outcome = transaction.frame.outcome_on_success
        try:
            results.append(Ok(decode(transaction.plan, program, answers, transformer, outcome)))  # pyright: ignore[reportArgumentType]  all answers are there
        except DecodeFailed as failure:
            failure.attempts = transaction.times
            results.append(Failed(failure, failure))
            is_as_new = False
    if is_as_new:
        ready = transactions[0].ready
        ready.state.transformers.give_back(ready.kept)
    return results


def _leaves_as_new(transaction: Transaction) -> bool:
    """Return whether a transaction that failed leaves its Transformer as good as a new one."""
    ready, verdict = transaction.ready, transaction.verdict
    violation = None if verdict is None else verdict.violation
    if violation is None or violation.row:  # which it has loaded
        return False
    return ready.kept.dumps_stateless(ready.encoded.kinds)


def _failed(transaction: Transaction, broken: Exception | None) -> Failed:
    """Return the report of a failure of the server or the connection."""
    verdict, slots = transaction.verdict or Verdict(transaction.outcome), transaction.slots
    cause: BaseException | None = slots.lost or broken
    summary = "" if verdict.violation is None else str(verdict.violation)
    if verdict.violation is not None and verdict.slot is not None:
        answer = slots.answers[verdict.slot]
        if answer is not None:
            sqlstate = verdict.violation.sqlstate
            cause = driver_error(answer, sqlstate, summary, transaction.ready.kept.codec)
    failure = None
    if transaction.deadline is not None:
        failure = _overdue(transaction, transaction.deadline, verdict, cause)
    if failure is None:
        failure = report(transaction, verdict, summary=summary, cause=cause)
    failure.report.attempts = max(transaction.times, 1)
    return failure


def _overdue(
    transaction: Transaction, deadline: Deadline, verdict: Verdict, cause: BaseException | None
) -> Failed | None:
    # Only sending the batch once more decides whether a preparation is the cause: too late now.
    stale = transaction.times == 1 and transaction.may_be_stale(verdict)
    return overdue(
        verdict,
        deadline,
        given_up=transaction.given_up,
        unsettled=transaction.is_late and stale,
        cause=cause,
    )
