# SPDX-License-Identifier: MIT
"""Return all that a caller and the network see of a batch, to compare two ways to write it."""

from __future__ import annotations

from typing import Any

from batchq import Batch, steps
from batchq.result import Failed
from tests.support.clients import Client


def seen(client: Client, link: Any, batch: Batch[Any], stored: str | None = None) -> Any:
    """Return what a batch does, which is rolled back.

    :param link: the proxy that the client is connected to.
    :param stored: a query of what the batch has stored, which must be run inside its transaction.
    :return: its result or failure, the messages sent and received, and the SQL of its steps.
    """
    client.execute("BEGIN")
    with link.record() as recording:
        answer = client.attempt(batch, nested=True)
    rows = None
    if stored is not None and not isinstance(answer, Failed):
        rows = client.fetch(stored)
    client.execute("ROLLBACK")
    messages = [(one.sender, one.kind, one.body) for one in recording.messages]
    sent = [(step.path, step.sql) for step in steps(batch)]
    if not isinstance(answer, Failed):
        return answer.value, rows, messages, sent
    return *failure_of(answer), messages, sent


def failure_of(failed: Failed) -> tuple[Any, ...]:
    """Return what a caller can read of a failure."""
    error, report = failed.error, failed.report
    violation = report.violation
    values = violation and (violation, violation.values)
    args = error.args if error is not report else ()
    return (
        *(type(error), args, str(error), type(report), str(report), values),
        *(report.outcome, report.index, report.path),
    )
