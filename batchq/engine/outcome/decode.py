# SPDX-License-Identifier: MIT
"""Decoding: from rows to what the batch promises. It runs after COMMIT, so its failures are no
rollback and never look like one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg.postgres import types
from psycopg.pq import Format

from batchq.engine.client_encoding import codec, is_own, textual
from batchq.engine.compile.sentinel import SCALARS
from batchq.engine.redaction import is_drivers, stand_in
from batchq.engine.step import PlacedStep
from batchq.language.errors import DecodeFailed
from batchq.language.models import maker, why_not
from batchq.language.results import Rows

if TYPE_CHECKING:
    from psycopg.abc import Transformer
    from psycopg.pq.abc import PGresult

    from batchq.engine.compile.sentinel import Cell
    from batchq.engine.plan import Plan
    from batchq.language.outcome import Outcome
    from batchq.language.shape import Shape

_BYTES = frozenset({types["bytea"].oid, types["bytea"].array_oid})

Row = Sequence[Any]
Decoder = Callable[["PGresult", "Transformer"], Any]
"""Makes a statement's result of its answer."""


def decode(
    plan: Plan, answers: Sequence[PGresult], transformer: Transformer, outcome: Outcome
) -> Any:
    """Make the batch's result of its steps' answers.

    :raises DecodeFailed: when a row does not fit its model, or a function of the caller's raises.
        It has no tie to a loader's own error, which may hold the value.
    """
    results: list[Any] = []
    failed: DecodeFailed | None = None
    try:
        for statement, answer in zip(plan.statements, answers, strict=True):
            read = _decoder(statement._shape)
            results.append(None if read is None else read(answer, transformer))
    except Exception as error:  # noqa: BLE001  it is in what is raised, or stood for
        step = PlacedStep(len(results), plan.placed[len(results)])
        failed = _failed(step, error, outcome)
        failed.__cause__ = _hidden(error, answers[step.index], transformer)
    if failed is not None:
        raise failed  # not above, where the error would be its context
    try:
        return plan.combine(results)
    except Exception as error:
        message = (
            f"a function of the batch raised {type(error).__name__}; the batch is {outcome.value}"
        )
        raise DecodeFailed(message, outcome=outcome) from error


def _failed(step: PlacedStep, error: Exception, outcome: Outcome) -> DecodeFailed:
    why = str(error) if isinstance(error, _Misfit) else type(error).__name__
    shape = step.statement._shape.result
    doing = f"{step.placed.context}: " if step.placed.context else ""
    message = f"{doing}{step}: {shape} failed: {why}; the batch is {outcome.value}"
    failed = DecodeFailed(message, outcome=outcome, step=step)
    failed.context = step.placed.context
    return failed


def _hidden(error: Exception, answer: PGresult, transformer: Transformer) -> Exception:
    """Make what stands for an error of a loader of psycopg's; any other stays as it is.

    Which it is, loading each value once more says: one alike is the same.
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
                    doing = f"the value of column {name!r}, whose type has the OID {type_}"
                    return stand_in(error, doing) if is_drivers(loader) else error
    return error


class _Misfit(Exception):
    """The rows are not what the shape promises; its text shows no values."""


@lru_cache(maxsize=4096)
def _decoder(shape: Shape) -> Decoder | None:
    """How to read the answers of statements of this shape; None when nobody wants them read."""
    result = shape.result
    match result.rows:
        case Rows.NONE:
            return None
        case Rows.COUNT:
            return _counted if shape.wrapped else _affected
        case Rows.SCALAR:
            return lambda answer, transformer: _scalar(result.model, answer, transformer)
        case Rows.ALL:
            return _reader(shape)
        case Rows.ONE | Rows.MAYBE:
            return _single(_reader(shape), optional=result.rows is Rows.MAYBE)


def load_cell(cell: Cell, transformer: Transformer) -> object:
    """Make a Python value of one that a guard found, as of one that a statement returns.

    One that cannot be made is left as text: the failure must not be lost for what it found.
    """
    if cell.text is None:
        return None
    try:
        loaded = _load(cell, cell.text, transformer)
    except Exception:  # noqa: BLE001  any loader may be the user's own
        return cell.text
    # Text of a client in SQL_ASCII.
    return loaded if cell.type in _BYTES else textual(loaded)


def _load(cell: Cell, text: str, transformer: Transformer) -> object:
    loader = transformer.get_loader(cell.type, Format.TEXT)
    if cell.binary is not None and _is_drivers(cell.type, transformer):
        return transformer.get_loader(cell.type, Format.BINARY).load(cell.binary)
    if cell.type >= _FIRST_OF_USERS or cell.binary is not None:
        pg = transformer.connection.pgconn if transformer.connection else None
        if pg is not None and cell.styles != tuple(map(_told, map(pg.parameter_status, _STYLES))):
            # Set for this transaction alone: no loader knows how to read that.
            return text
    return loader.load(text.encode(codec(transformer.encoding), "surrogateescape"))


_STYLES = (b"DateStyle", b"IntervalStyle")
_FIRST_OF_USERS = 16384
"""PostgreSQL source, ``FirstNormalObjectId``: types from here on are made of others."""


def _told(value: bytes | None) -> str:
    return (value or b"").decode()


def _is_drivers(type_: int, transformer: Transformer) -> bool:
    """Whether a type is loaded by psycopg itself, and the types that it may be made of too: what
    the caller has registered reads text."""
    loaders = (transformer.get_loader(oid, Format.TEXT) for oid in (type_, *_SCALARS))
    return all(type(loader).__module__.startswith("psycopg") for loader in loaders)


_SCALARS = tuple(types[name].oid for name in SCALARS)


def _affected(answer: PGresult, _: Transformer) -> int:
    return answer.command_tuples or 0


def _counted(answer: PGresult, transformer: Transformer) -> Any:
    """The one value that a guard answers with when the rows are not wanted."""
    return _rows(answer, transformer, tuple)[0][0]


def _scalar(model: type[Any], answer: PGresult, transformer: Transformer) -> Any:
    rows = _rows(answer, transformer, tuple)
    if len(rows) != 1 or answer.nfields != 1:
        message = f"it promises one row of one column and got {len(rows)} of {answer.nfields}"
        raise _Misfit(message)
    value = rows[0][0]
    if not isinstance(value, model):
        message = f"the value is a {type(value).__name__}"
        if value is None:
            message = "the value is NULL: coalesce() it, or use one(tuple)"
        raise _Misfit(message)
    return value


def _reader(shape: Shape) -> Decoder:
    """Read every row. What batchq wrote out itself has the columns that it wrote."""
    model, columns = shape.result.model, shape.columns
    if columns is not None:
        make = _maker(model, columns)
        return lambda answer, transformer: _rows(answer, transformer, make)
    return lambda answer, transformer: _rows(
        answer, transformer, _maker(model, _names(answer, codec(transformer.encoding)))
    )


def _single(read: Decoder, *, optional: bool) -> Decoder:
    def single(answer: PGresult, transformer: Transformer) -> Any:
        rows = read(answer, transformer)
        if len(rows) == 1:
            return rows[0]
        if optional and not rows:
            return None
        # An insert that a trigger turned into nothing, for one.
        message = f"it promises one row and got {len(rows)}"
        raise _Misfit(message)

    return single


def _rows(answer: PGresult, transformer: Transformer, make: Callable[[Row], Any]) -> list[Any]:
    transformer.set_pgresult(answer)
    return transformer.load_rows(0, answer.ntuples, make)


def _names(answer: PGresult, encoding: str) -> tuple[str, ...]:
    names = [answer.fname(index) or b"" for index in range(answer.nfields)]
    return tuple(name.decode(encoding) for name in names)


@lru_cache(maxsize=1024)
def _maker(model: Any, columns: tuple[str, ...]) -> Callable[[Row], Any]:
    """How to make a model of a row with these columns."""
    why = why_not(model, columns)
    if why is not None:
        raise _Misfit(why)
    make = maker(model, columns)
    if is_own(model):
        return lambda row: make([textual(value) for value in row])
    return make
