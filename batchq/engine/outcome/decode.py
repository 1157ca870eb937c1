# SPDX-License-Identifier: MIT
"""Convert the rows of the steps into the result of the batch.

This runs after COMMIT, so its failure is not a rollback and never looks like one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import starmap
from typing import TYPE_CHECKING, Any, cast

from psycopg.pq import Format

from batchq.engine.client_encoding import codec, is_own, textual
from batchq.engine.redaction import is_drivers, stand_in
from batchq.engine.step import PlacedStep
from batchq.language.errors import DecodeFailed
from batchq.language.models import Maker, Row, maker, of_row, why_not
from batchq.language.results import Changed, Inserted, Result, Rows, Updated
from batchq.language.shape import answered
from batchq.language.spelling import with_article
from batchq.language.syntax import Select

if TYPE_CHECKING:
    from psycopg.abc import Transformer
    from psycopg.pq.abc import PGresult

    from batchq.engine.plan import Plan
    from batchq.engine.program import Program
    from batchq.language.outcome import Outcome
    from batchq.language.shape import Shape

Decoder = Callable[["PGresult", "Transformer"], Any]
"""Converts the answer to a statement into its result."""
_SINGLE = frozenset({Rows.ONE, Rows.MAYBE, Rows.INSERTED, Rows.UPDATED, Rows.CHANGED})
_WITH_FLAG: Mapping[Rows, Callable[[Any, bool], Any]] = {
    Rows.INSERTED: Inserted,
    Rows.UPDATED: Updated,
}
"""The results of a row and of what the statement reports of it, in a column after the row's."""


def decode(
    plan: Plan,
    program: Program,
    answers: Sequence[PGresult],
    transformer: Transformer,
    outcome: Outcome,
) -> Any:
    """Return the batch's result, from the answers to its steps.

    :raises DecodeFailed: if a row does not fit its model, or a function of the caller raises.
        A loader's own error is not chained to it, since that may contain the value.
    """
    results: list[Any] = [None] * len(answers)
    index = 0
    failed: DecodeFailed | None = None
    try:
        decoders = _decoders if program.is_kept else _decoders.__wrapped__
        for index, read, make, spreads in decoders(program):
            answer = answers[index]
            if make is not None and answer.ntuples == 1:  # most of them, without a call
                transformer.set_pgresult(answer)
                row = transformer.load_row(0, tuple)
                results[index] = make(*row) if spreads else make(row)
            else:
                results[index] = read(answer, transformer)
    except Exception as error:  # noqa: BLE001  it becomes the cause
        step = PlacedStep(index, plan.place(index)[index])
        failed = _failed(step, error, outcome)
        failed.__cause__ = _without_value(error, answers[step.index], transformer)
    if failed is not None:
        raise failed  # outside of the except block, which would set __context__
    try:
        return plan.combine(results)
    except Exception as error:
        message = (
            f"a function of the batch raised {type(error).__name__}; the batch is {outcome.value}"
        )
        raise DecodeFailed(message, outcome=outcome) from error


def _failed(step: PlacedStep, error: Exception, outcome: Outcome) -> DecodeFailed:
    reason = str(error) if isinstance(error, _ResultMismatch) else type(error).__name__
    shape = step.statement._shape.result
    context = step.placed.declared.context
    prefix = f"{context}: " if context else ""
    message = f"{prefix}{step}: {shape} failed: {reason}; the batch is {outcome.value}"
    failed = DecodeFailed(message, outcome=outcome, step=step)
    failed.context = context
    return failed


def _without_value(error: Exception, answer: PGresult, transformer: Transformer) -> Exception:
    """Return a stand-in for the error of a psycopg loader, whose text may quote the value.

    Any other error is returned unchanged. To find the loader, each value is loaded again: an equal
    error is taken for the same one.
    """
    for row in range(answer.ntuples):
        for column in range(answer.nfields):
            value = answer.get_value(row, column)
            if value is None:
                continue
            type_ = answer.ftype(column)
            loader = transformer.get_loader(type_, Format(answer.fformat(column)))
            try:
                loader.load(value)
            except Exception as again:  # noqa: BLE001  any loader may be the user's own
                if type(again) is type(error) and str(again) == str(error):
                    name = (answer.fname(column) or b"").decode("utf-8", "replace")
                    what = f"the value of column {name!r}, whose type has the OID {type_}"
                    return stand_in(error, what) if is_drivers(loader) else error
    return error


class _ResultMismatch(Exception):
    """The rows do not fit the result shape. The text shows no values."""


@lru_cache(maxsize=1024)
def _decoders(
    program: Program,
) -> tuple[tuple[int, Decoder, Callable[..., Any] | None, bool], ...]:
    """Return the decoder of each step that has a result, with its index.

    With it is what makes the model, see :func:`_maker_of_one`.
    """
    decoders = {shape: (_decoder(shape), _maker_of_one(shape)) for shape in set(program.shapes)}
    found = enumerate([decoders[shape] for shape in program.shapes])
    return tuple(
        [
            (index, read, make, spreads)
            for index, (read, (make, spreads)) in found
            if read is not None
        ]
    )


def _maker_of_one(shape: Shape) -> Maker | tuple[None, bool]:
    """Return what makes the model of the one row that is returned, if that is known."""
    known = _known_maker(shape) if shape.result.rows in _SINGLE else None
    return known or (None, False)


@lru_cache(maxsize=4096)
def _decoder(shape: Shape) -> Decoder | None:
    """Return the decoder for statements of this shape; None without a result shape."""
    result = shape.result
    match result.rows:
        case Rows.NONE:
            return None
        case Rows.COUNT:
            return _counted if shape.wrapped or isinstance(shape.source, Select) else _affected
        case Rows.EXISTS:
            return _counted
        case Rows.SCALAR:
            return lambda answer, transformer: _scalar(result, answer, transformer)
        case Rows.ALL:
            return _every(shape)
        case Rows.ONE | Rows.MAYBE | Rows.INSERTED | Rows.UPDATED | Rows.CHANGED:
            return _single(shape, optional=result.rows is Rows.MAYBE)


def _affected(answer: PGresult, _: Transformer) -> int:
    return answer.command_tuples or 0


def _counted(answer: PGresult, transformer: Transformer) -> Any:
    """Return what is returned in place of the rows: their number, or whether there are any."""
    return _rows(answer, transformer)[0][0]


def _scalar(result: Result, answer: PGresult, transformer: Transformer) -> Any:
    rows = _rows(answer, transformer)
    if len(rows) != 1 or answer.nfields != 1:
        message = f"expected one row of one column, got {len(rows)} of {answer.nfields}"
        raise _ResultMismatch(message)
    value: object = rows[0][0]
    if not isinstance(value, result.model) and not (result.null and value is None):
        message = f"the value is {with_article(type(value))}"
        if value is None:
            name = result.model.__name__
            message = f"the value is NULL; use scalar({name}, null=True), or coalesce() in the SQL"
        raise _ResultMismatch(message)
    return value


def _every(shape: Shape) -> Decoder:
    """Return a decoder of all rows."""
    model, known = shape.result.model, _known_maker(shape)

    def every(answer: PGresult, transformer: Transformer) -> list[Any]:
        make, spreads = known or _maker_for(model, answer, transformer)
        rows = _rows(answer, transformer)
        return list(starmap(make, rows) if spreads else map(make, rows))

    return every


def _single(shape: Shape, *, optional: bool) -> Decoder:
    """Return a decoder of one row."""
    model, known = shape.result.model, _known_maker(shape)

    def single(answer: PGresult, transformer: Transformer) -> Any:
        rows = answer.ntuples
        if rows == 1:
            make, spreads = known or _maker_for(model, answer, transformer)
            (row,) = _rows(answer, transformer)
            return make(*row) if spreads else make(row)
        if optional and not rows:
            return None
        # For example, a trigger suppressed an insert.
        message = f"expected one row, got {rows}"
        raise _ResultMismatch(message)

    return single


def _known_maker(shape: Shape) -> Maker | None:
    """Return how to make a model from a row; None if the columns are not known beforehand.

    They are known if batchq wrote the select list, unless the server names one of them.
    """
    names = answered(shape)
    if names is None or None in names:
        return None
    make, spreads = _maker(shape.result.model, cast("tuple[str, ...]", names))
    rows = shape.result.rows
    if rows is not Rows.CHANGED and rows not in _WITH_FLAG:
        return make, spreads
    make_one: Callable[[Row], Any] = (lambda row: make(*row)) if spreads else make
    if rows is Rows.CHANGED:
        count = len(names)
        return of_row(lambda row: Changed(make_one(row[count:]), make_one(row[:count])))
    make_both = _WITH_FLAG[rows]
    return of_row(lambda row: make_both(make_one(row[:-1]), row[-1]))


def _maker_for(model: Any, answer: PGresult, transformer: Transformer) -> Maker:
    return _maker(model, _names(answer, codec(transformer.encoding)))


def _rows(answer: PGresult, transformer: Transformer) -> list[tuple[Any, ...]]:
    transformer.set_pgresult(answer)
    return transformer.load_rows(0, answer.ntuples, tuple)


def _names(answer: PGresult, encoding: str) -> tuple[str, ...]:
    names = [answer.fname(index) or b"" for index in range(answer.nfields)]
    return tuple(name.decode(encoding) for name in names)


@lru_cache(maxsize=1024)
def _maker(model: Any, columns: tuple[str, ...]) -> Maker:
    """Return what makes a model from a row with these columns."""
    reason = why_not(model, columns)
    if reason is not None:
        raise _ResultMismatch(reason)
    make, spreads = maker(model, columns)
    if not is_own(model):
        return make, spreads
    if spreads:
        return (lambda *values: make(*map(textual, values))), True
    return of_row(lambda row: make([textual(value) for value in row]))
