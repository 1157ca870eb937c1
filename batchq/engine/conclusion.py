# SPDX-License-Identifier: MIT
"""Conclude a transaction that has ended: its result, or the report of its failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchq.engine.outcome.attribute import Verdict
from batchq.engine.outcome.decode import decode
from batchq.engine.outcome.overdue import overdue
from batchq.engine.outcome.report import Report, driver_error, report
from batchq.engine.transaction import Transaction
from batchq.engine.wire.deadline import Deadline
from batchq.language.errors import DecodeFailed


def failure_of(transaction: Transaction, broken: Exception | None = None) -> Report | None:
    """Return the report of a failure of the server or the connection; None without one.

    :param broken: the error that ended the waiting, if one did. The answers received before it
        still count.
    """
    verdict, slots = transaction.verdict, transaction.slots
    if verdict is None and broken is not None:
        verdict = Verdict(transaction.outcome)
    if verdict is None or verdict.outcome is transaction.frame.outcome_on_success:
        return None
    cause: BaseException | None = slots.lost or broken
    summary = "" if verdict.violation is None else str(verdict.violation)
    if verdict.violation is not None and verdict.slot is not None:
        answer = slots.answers[verdict.slot]
        if answer is not None:
            cause = driver_error(answer, summary, transaction.ready.codec)
    failure = None
    if transaction.deadline is not None:
        failure = _overdue(transaction, transaction.deadline, verdict, cause)
    if failure is None:
        failure = report(
            verdict,
            transaction.plan.placed,
            summary=summary,
            dialect=transaction.ready.dialect,
            cause=cause,
            frame=transaction.frame,
            server=transaction.connection.pgconn,
            abilities=transaction.ready.state.abilities,
        )
    failure.report.attempts = max(transaction.times, 1)
    return failure


def _overdue(
    transaction: Transaction, deadline: Deadline, verdict: Verdict, cause: BaseException | None
) -> Report | None:
    # Only sending the batch once more decides whether a preparation is the cause: too late now.
    stale = transaction.times == 1 and transaction.may_be_stale(verdict)
    return overdue(
        verdict,
        deadline,
        given_up=transaction.given_up,
        unsettled=transaction.is_late and stale,
        cause=cause,
    )


def result_of(transaction: Transaction) -> Any:
    """Return the batch's result, decoded from the answers, and give back what has decoded it.

    :raises DecodeFailed: if an answer does not fit the result shape that the batch declares.
    """
    result = decoded(transaction)
    give_back([transaction])
    return result


def decoded(transaction: Transaction) -> Any:
    """Return the batch's result, decoded from the answers.

    :raises DecodeFailed: if an answer does not fit the result shape that the batch declares.
    """
    ready, repeated = transaction.ready, transaction.repeated
    program = ready.encoded.program
    answers: Sequence[Any]
    if repeated is None:
        answers = transaction.sent.step_answers(transaction.slots.answers, len(program.steps))
    else:
        answers = repeated.step_answers(transaction.slots.answers)
    try:
        return decode(
            transaction.plan, program, answers, transaction.transformer, transaction.outcome
        )
    except DecodeFailed as error:
        error.attempts = transaction.times
        raise


def give_back(transactions: Sequence[Transaction]) -> None:
    """Give back the Transformer that batches of one flight share, if it is as good as a new one."""
    for transaction in transactions:
        ready, repeated = transaction.ready, transaction.repeated
        is_as_new = repeated is not None and repeated.stateless
        if transaction.transformer is not ready.kept.transformer or not is_as_new:
            return
        if not ready.kept.dumps_stateless(ready.encoded.kinds):
            return
    ready = transactions[0].ready
    ready.state.transformers.give_back(ready.kept)
