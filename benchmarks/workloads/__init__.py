# SPDX-License-Identifier: MIT
"""Workloads are data: which statements a call sends, with which values, and what they mean.

A workload has the same work twice: as batches, in one form or several, and as a list of commands,
which each peer sends in its own way. The statements are the same, and so are the checks: a command
that must find a number of rows says so, and each peer sees to that as its own documentation would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, fields, frozen

from batchq import Batch
from benchmarks.sandbox import Sandbox
from benchmarks.table_digest import digest

DECLARED, *_ = FORMS = ("batchq, declared", "batchq, composed", "batchq, built")
"""The forms of a batch.

Declared: as a whole, once; each call binds it by ``.bind(row)`` or ``.each(rows)``. Composed: each
call composes bound statements, which are declared. Built: each call builds each statement.
"""

Rows = Sequence[Any]
Values = list[tuple[Any, ...]]


@frozen
class Command:
    """One statement of a workload.

    Attributes:
        sql: with the placeholders ``$1``, ``$2``, … in order.
        model: the class of the rows that it returns; None if it returns none.
        rows: how many rows it has to find or change; None if any number is right.
        error: makes the error if it is another number, from the call's input.
        table, columns: of an insert, for peers that write it in another form.
    """

    sql: str
    model: type[Any] | None = None
    rows: int | None = None
    error: Callable[[Any], Exception] = LookupError
    table: str = ""
    columns: tuple[str, ...] = ()

    def check(self, count: int, given: Any) -> None:
        """Raise the error unless the number of rows is right."""
        if self.rows is not None and count != self.rows:
            raise self.error(given)


@frozen
class Workload:
    """A piece of work, repeated with one input after the other.

    Attributes:
        name: as in the tables of the report.
        inputs: prepares a sandbox for a number of calls, and returns the input of each.
        batches: makes the batch of an input; each form of it is a peer of that name.
        commands: the same work as a list.
        values: the parameters of each command.
        result: makes a call's result of the rows of each command.
        errors: makes the error for a violated constraint, by its name.
        failure: the name of the error that each call has to fail with; None if it succeeds.
        digest: describes the rows that are left, in the same way for all peers.
    """

    name: str
    inputs: Callable[[Sandbox, int], Sequence[Any]]
    batches: Mapping[str, Callable[[Any], Batch[Any]]]
    commands: Sequence[Command] = ()
    values: Callable[[Any], Values] = lambda _: []
    result: Callable[[Sequence[Rows]], object] = list
    errors: Mapping[str, Callable[[Any], Exception]] = field(factory=dict)
    failure: str | None = None
    digest: Callable[[str], object] = digest


def insert_command(table: str, columns: str, model: type[Any] | None = None) -> Command:
    """Return an insert into these columns, separated by spaces; it returns the model's columns."""
    names = tuple(columns.split())
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    text = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608  our own names
    if model is not None:
        text += f" RETURNING {columns_of(model)}"
    return Command(text, model, table=table, columns=names)


def columns_of(model: type[Any]) -> str:
    """List the columns that a model has fields for."""
    return ", ".join(column.name for column in fields(model))
