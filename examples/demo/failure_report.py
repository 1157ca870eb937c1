# SPDX-License-Identifier: MIT
"""Running into a failure on purpose, and showing who is to blame and what the caller gets."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
from attrs import field, frozen
from rich.markup import escape
from rich.table import Table

from batchq import Batch, Failed, Outcome, attempt
from examples.datastore.errors import ServiceError
from examples.demo.console import check, console
from examples.demo.database import row_count


@frozen
class Failure:
    """A batch that has to fail, and how."""

    story: str
    batch: Batch[Any]
    error: type[Exception]
    """What the caller gets."""
    step: str
    """The path of the step that is to blame."""
    violated: str
    """The constraint, or what the guard saw."""
    setting: AbstractContextManager[None] = field(factory=nullcontext)
    """What is so only while it runs."""


def show(conn: psycopg.Connection[Any], failure: Failure) -> None:
    """Run into a failure, make sure that it is as told, and show it."""
    before = row_count(conn)
    with failure.setting:
        answer = attempt(conn, failure.batch)
    after = row_count(conn)
    if not isinstance(answer, Failed):
        check(failure.story, answer, "a failure")
        return
    error, report, violation = answer.error, answer.report, answer.report.violation
    if violation is None:
        check(failure.story, violation, "a violation")
        return
    violated = violation.constraint or str(violation)
    status = error.status if isinstance(error, ServiceError) else 500
    text, *lesson = str(error).splitlines()
    check(f"{failure.story}: the exception", type(error), failure.error)
    check(f"{failure.story}: the step", report.path, failure.step)
    check(f"{failure.story}: what was violated", violated, failure.violated)
    check(f"{failure.story}: the outcome", report.outcome, Outcome.ROLLED_BACK)
    check(f"{failure.story}: the rows in all tables", after, before)

    told = Table.grid(padding=(0, 2))
    told.add_column(style="dim", min_width=10)
    told.add_column(overflow="fold")
    told.add_row("step", escape(str(report.step)))
    told.add_row("violated", escape(violated))
    colour = "green" if isinstance(error, ServiceError) else "red"
    told.add_row("caller gets", f"[{colour}]{type(error).__name__}[/] (HTTP {status})")
    told.add_row("", escape(text))
    for line in lesson:
        told.add_row("", f"[yellow]{escape(line)}[/]")
    told.add_row("outcome", report.outcome.value)
    told.add_row("rows", f"{before} before, {after} after: nothing was kept")
    console.print(f"[bold]{escape(failure.story)}[/]")
    console.print(told)
    console.print()
