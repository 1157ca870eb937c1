# SPDX-License-Identifier: MIT
"""Decoding: from rows to what the batch promises. It runs after COMMIT, so its failures are no
rollback and never look like one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batchq.language.errors import DecodeFailed
from batchq.language.results import Result, Rows, model_fields
from batchq.language.step import Step

if TYPE_CHECKING:
    from psycopg.abc import Transformer
    from psycopg.pq.abc import PGresult

    from batchq.language.outcome import Outcome
    from batchq.language.plan import Plan
    from batchq.language.shape import Shape

Row = tuple[Any, ...]


def decode(
    plan: Plan, answers: Sequence[PGresult], transformer: Transformer, outcome: Outcome
) -> Any:
    """Make the batch's result of its steps' answers.

    :raises DecodeFailed: when a row does not fit its model, or a function of the caller's raises.
    """

    def results() -> Iterator[Any]:
        for index, (statement, answer) in enumerate(zip(plan.statements, answers, strict=True)):
            if statement.shape.result.rows is Rows.NONE:
                yield None
                continue
            try:
                yield _result(statement.shape, answer, transformer)
            except Exception as error:
                step = Step(index, plan.leaves[index])
                why = str(error) if isinstance(error, _Misfit) else type(error).__name__
                message = f"{step}: {statement.result} failed: {why}; the batch is {outcome.value}"
                raise DecodeFailed(message, outcome=outcome, step=step) from error

    try:
        return plan.combine(results())
    except DecodeFailed:
        raise
    except Exception as error:
        message = (
            f"a function of the batch raised {type(error).__name__}; the batch is {outcome.value}"
        )
        raise DecodeFailed(message, outcome=outcome) from error


class _Misfit(Exception):
    """The rows are not what the shape promises; its text shows no values."""


def _result(shape: Shape, answer: PGresult, transformer: Transformer) -> Any:
    result = shape.result
    rows = result.rows
    if rows is Rows.COUNT and shape.guard is None:
        return answer.command_tuples or 0
    transformer.set_pgresult(answer)
    loaded: list[Row] = transformer.load_rows(0, answer.ntuples, tuple)
    if rows is Rows.COUNT:
        return loaded[0][0]
    if rows is Rows.SCALAR:
        return _scalar(result, loaded, answer.nfields)
    columns = shape.columns
    if columns is None:
        names = [answer.fname(i) or b"" for i in range(answer.nfields)]
        columns = tuple(name.decode() for name in names)
    return _models(result, loaded, columns)


def _models(result: Result, loaded: list[Row], columns: tuple[str, ...]) -> Any:
    make = _maker(result.model, columns)
    models: list[Any] = loaded if make is None else [make(row) for row in loaded]
    if result.rows is Rows.ALL:
        return models
    if len(models) == 1:
        return models[0]
    if result.rows is Rows.MAYBE and not models:
        return None
    # An insert that a trigger turned into nothing, for one.
    message = f"it promises one row and got {len(models)}"
    raise _Misfit(message)


def _scalar(result: Result, loaded: list[Row], columns: int) -> Any:
    if len(loaded) != 1 or columns != 1:
        message = f"it promises one row of one column and got {len(loaded)} of {columns}"
        raise _Misfit(message)
    value = loaded[0][0]
    if not isinstance(value, result.model):
        message = f"the value is a {type(value).__name__}"
        if value is None:
            message = "the value is NULL: coalesce() it, or use one(tuple)"
        raise _Misfit(message)
    return value


@lru_cache(maxsize=1024)
def _maker(model: Any, columns: tuple[str, ...]) -> Callable[[Row], Any] | None:
    """How to make a model of a row with these columns; None when the row is it."""
    if model is tuple:
        return None
    if len(set(columns)) != len(columns):
        message = f"two of its columns have one name: {', '.join(columns)}"
        raise _Misfit(message)
    fields = model_fields(model)
    if fields is None:
        if model is dict:
            return lambda row: dict(zip(columns, row, strict=True))
        return lambda row: model(dict(zip(columns, row, strict=True)))
    known = {field.column: field for field in fields}
    unknown = [column for column in columns if column not in known]
    missing = [field.column for field in fields if field.required and field.column not in columns]
    if unknown or missing:
        message = f"its columns are {', '.join(columns)}"
        message += f"; {model.__name__} has no field for {', '.join(unknown)}" if unknown else ""
        message += f"; {model.__name__} also needs {', '.join(missing)}" if missing else ""
        raise _Misfit(message)
    in_order = columns == tuple(field.column for field in fields[: len(columns)])
    if in_order and not any(field.keyword_only for field in fields[: len(columns)]):
        return lambda row: model(*row)
    arguments = tuple(known[column].argument for column in columns)
    return lambda row: model(**dict(zip(arguments, row, strict=True)))
