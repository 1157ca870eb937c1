# SPDX-License-Identifier: MIT
"""Show the steps of a batch, as objects or as text, without a database."""

from __future__ import annotations

from typing import Any

from batchq.engine.effects import locks, writes
from batchq.engine.plan import plan
from batchq.engine.step import PlacedStep
from batchq.language.batch import Batch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.sql_lines import sql_lines


def steps(batch: Batch[Any, Any], /) -> tuple[PlacedStep, ...]:
    """Return every statement of a batch at its place, in the order they run.

    :raises TypeError: if it is not a batch.
    :raises InvalidBatch: if it uses an output of a statement outside the batch.

    >>> from batchq import gather, insert
    >>> batch = gather(insert("project", {"id": 7}), insert("vpc", {"project_id": 7}))
    >>> [step.statement.title for step in steps(batch)]
    ['insert project', 'insert vpc']
    """
    placed = plan(batch).placed
    first_lock = next((n for n, step in enumerate(placed) if locks(step.statement)), len(placed))
    last_write = max((n for n, step in enumerate(placed) if writes(step.statement)), default=-1)
    return tuple(
        PlacedStep(n, statement, after_lock=first_lock < n, before_write=n < last_write)
        for n, statement in enumerate(placed)
    )


def explain(batch: Batch[Any, Any], /, *, parameters: bool = False) -> str:
    """Return the steps of a batch as text to read: SQL, guards, mappings and notes.

    The SQL is that for the newest PostgreSQL; for another server the text of ``created()`` and of
    what a guard reports differs. Of a declared statement it also lists what each parameter is: a
    field of a row, a parameter by name, or a constant.

    :param parameters: whether to show the values; they may be secrets.
    :raises InvalidBatch: if a statement cannot be sent as it is.

    >>> from batchq import param, unique, update
    >>> rename = update("vpc", {"name": "web"}, where={"id": 7})
    >>> print(explain(rename.on(unique("vpc_name_key"), ValueError("taken"))))
    step 0 (update vpc)
        UPDATE "vpc" SET "name" = $1 WHERE "id" = $2
        unique("vpc_name_key") -> ValueError
    >>> print(explain(update("vpc", {"name": "web"}, where={"id": param("id", int)})))
    step 0 (update vpc)
        UPDATE "vpc" SET "name" = $1 WHERE "id" = $2
        $1 name = constant
        $2 id = param id, an int
    """
    lines: list[str] = []
    for step in steps(batch):
        shape = step.statement._shape
        lines.append(str(step))
        lines.extend(f"    {line}" for line in sql_lines(step.sql))
        if parameters or any(isinstance(value, Parameter) for value in step.parameters):
            values = enumerate(zip(step.order, step.parameters, strict=True), 1)
            lines.extend(
                f"    ${n} {shape.names[i]} = {_described(value, is_shown=parameters)}"
                for n, (i, value) in values
            )
        if step.guard is not None:
            lines.append(f"    guard: {step.guard}")
        lines.extend(f"    {mapping}" for mapping in step.mappings)
        lines.extend(f"    note: {note}" for note in step.notes)
    return "\n".join(lines)


def _described(value: object, *, is_shown: bool) -> str:
    """Return what stands in the place of a parameter of the SQL; a value only if it is shown."""
    if isinstance(value, Parameter):
        if value.row is not None:
            return f"{value.row.__name__}.{value.name}"
        if value.is_default:
            return f"default of {value.name}"
        accepted = "" if value.accepted is None else f", {value.accepted}"
        return f"param {value.name}{accepted}"
    return repr(value) if is_shown or isinstance(value, Output) else "constant"
