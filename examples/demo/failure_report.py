# SPDX-License-Identifier: MIT
"""Provoke a failure, and show the failed step and what the caller gets."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
from attrs import field, frozen
from rich.markup import escape
from rich.table import Table

from batchq import Batch, Outcome
from batchq.result import Failed, attempt
from examples.datastore.errors import ServiceError
from examples.demo.console import check, console
from examples.demo.database import row_count


@frozen
class Failure:
    """A batch that must fail, and how."""

    title: str
    batch: Batch[Any]
    error: type[Exception]
    """The exception that the caller gets."""
    step: str
    """Path of the failed step."""
    violated: str
    """The constraint, or what the guard observed."""
    setting: AbstractContextManager[None] = field(factory=nullcontext)
    """Entered while it runs."""


def show(conn: psycopg.Connection[Any], failure: Failure) -> None:
    """Run the batch, check that it fails as expected, and print the failure."""
    before = row_count(conn)
    with failure.setting:
        answer = attempt(conn, failure.batch)
    after = row_count(conn)
    if not isinstance(answer, Failed):
        check(failure.title, answer, "a failure")
        return
    error, report, violation = answer.error, answer.report, answer.report.violation
    if violation is None:
        check(failure.title, violation, "a violation")
        return
    violated = violation.constraint or str(violation)
    status = error.status if isinstance(error, ServiceError) else 500
    text, *hint = str(error).splitlines()
    check(f"{failure.title}: the exception", type(error), failure.error)
    check(f"{failure.title}: the step", report.path, failure.step)
    check(f"{failure.title}: what was violated", violated, failure.violated)
    check(f"{failure.title}: the outcome", report.outcome, Outcome.ROLLED_BACK)
    check(f"{failure.title}: the rows in all tables", after, before)

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=10)
    table.add_column(overflow="fold")
    table.add_row("step", escape(str(report.step)))
    table.add_row("violated", escape(violated))
    colour = "green" if isinstance(error, ServiceError) else "red"
    table.add_row("caller gets", f"[{colour}]{type(error).__name__}[/] (HTTP {status})")
    table.add_row("", escape(text))
    for line in hint:
        table.add_row("", f"[yellow]{escape(line)}[/]")
    table.add_row("outcome", report.outcome.value)
    table.add_row("rows", f"{before} before, {after} after: nothing was applied")
    console.print(f"[bold]{escape(failure.title)}[/]")
    console.print(table)
    console.print()
