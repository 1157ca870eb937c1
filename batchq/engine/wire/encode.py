# SPDX-License-Identifier: MIT
"""Encode every value of the batch before the first byte is sent.

A value of the last statement that cannot be encoded must fail before the first statement is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, cast

from attrs import define
from psycopg.adapt import PyFormat
from psycopg.types.numeric import Int8

from batchq.engine.compile.compile import Compiled, compiled
from batchq.engine.compile.parameter_places import Place
from batchq.engine.compile.sentinel import TOKEN
from batchq.engine.hints import JSONB
from batchq.engine.plan import Plan
from batchq.engine.redaction import is_drivers, is_safe, stand_in
from batchq.engine.scope import PlacedStatement
from batchq.engine.step import PlacedStep
from batchq.engine.wire.message_length import check_lengths
from batchq.engine.wire.output_settings import OutputSettings
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.spelling import with_article
from batchq.language.statement import Statement

if TYPE_CHECKING:
    from psycopg.abc import Transformer

_AUTO = PyFormat.AUTO


SentTypes = dict[Compiled, tuple[int, ...]]
"""The types of each statement's parameters when it was last sent on a connection."""
_MOST_SENT = 4096
"""The number of statements whose types are kept: as many as are kept compiled."""


@define(eq=False)
class Encoded:
    """One step, ready to be sent."""

    compiled: Compiled
    params: Sequence[Any]
    """Bytes, or None for NULL, in the order of ``$1``, ``$2``, …"""
    types: tuple[int, ...]
    """The type OIDs; 0 lets the server infer the type."""
    settled: tuple[int, ...]
    """The type OIDs to prepare by: those of ``types``, and the type last sent for a value that has
    none."""
    formats: Sequence[int]
    """Text or binary. Not part of a statement's identity: each Bind declares them again."""


def encode(
    plan: Plan,
    transformer: Transformer,
    sent: SentTypes,
    *,
    binary: bool = True,
    max_bytes: int = sys.maxsize,
) -> list[Encoded]:
    """Encode every statement's values with the connection's adapters.

    One transformer and one call serve the whole batch, because finding the dumper of a type is the
    expensive part.

    :param sent: the types that were last sent on this connection, which is brought up to date.
    :param binary: whether the server can convert a value to binary in SQL.
    :param max_bytes: the most bytes that the server reads in one message.
    :raises InvalidBatch: for a statement that cannot be compiled, a value that cannot be adapted,
        or a message that is too long. It has the ``step``, and no reference to an error that may
        hold the value.
    """
    shapes: list[Compiled] = []
    for statement in plan.statements:
        try:
            shapes.append(compiled(statement._shape, plan.outputs.get(len(shapes), ()), binary))
        except InvalidBatch as error:
            index = len(shapes)
            raise _located(error, PlacedStep(index, plan.placed[index])) from error
    flat: list[object] = []
    dumped: Sequence[Any] = ()
    failure: InvalidBatch | None = None
    try:
        settings = OutputSettings(plan) if plan.outputs else None
        for index, shape in enumerate(shapes):
            start = len(flat)
            _extend(flat, plan.statements[index], shape)
            if settings is not None:
                settings.bind(index, flat, start)
        dumped = transformer.dump_sequence(flat, [_AUTO] * len(flat))
    except Exception as error:  # noqa: BLE001  it, or a stand-in, is the cause of what is raised
        failure = _find_value(plan.placed, transformer, error)
    if failure is not None:
        raise failure  # outside the except block, where the error would become its context
    types, formats = transformer.types or (), transformer.formats or []
    encoded: list[Encoded] = []
    end, long = 0, False
    for shape in shapes:
        long = long or shape.long
        start, end = end, end + shape.parameters
        settled = own = types[start:end]
        if own != sent.get(shape):
            settled = _remembered(sent, shape, own, flat[start:end])
        encoded.append(Encoded(shape, dumped[start:end], own, settled, formats[start:end]))
    check_lengths(plan, encoded, dumped, max_bytes, texts=long)
    return encoded


def _remembered(
    sent: SentTypes, shape: Compiled, types: tuple[int, ...], values: Sequence[object]
) -> tuple[int, ...]:
    """Return the types to prepare by, and record them as last sent."""
    last, settled = sent.get(shape), types
    if last is not None:
        settled = _settled(types, last, values, shape.places)
    elif len(sent) >= _MOST_SENT:
        sent.clear()
    sent[shape] = settled
    return settled


def _settled(
    types: tuple[int, ...],
    last: tuple[int, ...],
    values: Sequence[object],
    places: tuple[Place, ...],
) -> tuple[int, ...]:
    """Return the types, with the last one sent for NULL and the empty list, which have none.

    Otherwise the server would prepare another statement whenever a value is missing. In the user's
    own SQL the types stay, because there the type of a NULL may decide which function is called.
    """
    return tuple(
        old
        if place is not Place.FREE and (value is None or (type(value) is list and not value))
        else new
        for new, old, value, place in zip(types, last, values, places, strict=True)
    )


def _extend(flat: list[object], statement: Statement[Any], shape: Compiled) -> None:
    """Append the values in the order of ``$1``, ``$2``, …, with batchq's own last."""
    values: Sequence[object] = statement._values
    if shape.order is not None:
        values = tuple(values[i] for i in shape.order)
    if not _UNSTABLE.isdisjoint(map(type, values)):
        values = [_stable(value) if type(value) in _UNSTABLE else value for value in values]
    flat += values
    if shape.takes_row_count:
        guard = statement._shape.guard
        flat.append(_ONE if guard is None else Int8(guard.rows))
    if shape.takes_token:
        flat.append(TOKEN)


_ONE = Int8(1)
"""The number of rows of a statement that has an output."""


_UNSTABLE = frozenset({int, list})


def _stable(value: Any) -> object:
    """Return the value with each int as a bigint, whatever its size.

    psycopg picks the smallest type that holds the value. The type is part of a statement's
    identity, so values of different sizes would make different statements.

    :raises _NoBigint: for an integer that does not fit.
    """
    if type(value) is int:
        if not -_BEYOND_BIGINT <= value < _BEYOND_BIGINT:
            message = "the integer does not fit bigint; pass a Decimal"
            raise _NoBigint(message)
        return Int8(value)
    return [_stable(item) if type(item) in _UNSTABLE else item for item in value]


_BEYOND_BIGINT = 1 << 63


class _NoBigint(Exception):
    """An integer does not fit bigint, the type of all integers sent."""


def _located(error: Exception, step: PlacedStep) -> InvalidBatch:
    return InvalidBatch(f"{step}: {error}", step=step)


def _find_value(
    placed: Sequence[PlacedStatement], transformer: Transformer, original: Exception
) -> InvalidBatch:
    """Return the error for the value that cannot be encoded, by encoding one after the other."""
    for index, place in enumerate(placed):
        statement = place.statement
        names = statement._shape.names
        for name, value in zip(names, statement._values, strict=True):
            if isinstance(value, Output):
                continue  # the name of a setting is sent in its place
            dumper: object = None
            try:
                stable = _stable(value) if type(value) in _UNSTABLE else value
                if stable is not None:
                    dumper = transformer.get_dumper(stable, _AUTO)
                transformer.dump_sequence([stable], [_AUTO])
            except Exception as error:  # noqa: BLE001  any dumper may be the user's own
                what = f"the value of {name!r}, {with_article(type(value))}, cannot be sent"
                if _holds(value, Output):
                    return _located(
                        InvalidBatch(f"{what}; {_OUTPUT_IN_A_LIST}"), PlacedStep(index, place)
                    )
                # The message of any other error may quote the value.
                safe = isinstance(error, _NoBigint) or is_safe(error)
                reason = f": {error}" if safe else ""
                failure = _located(
                    InvalidBatch(what + reason + _instead_of(value)), PlacedStep(index, place)
                )
                kept = safe or (dumper is not None and not is_drivers(dumper))
                failure.__cause__ = error if kept else stand_in(error, what)
                return failure
    failure = InvalidBatch("a value cannot be sent, though each can on its own")
    failure.__cause__ = stand_in(original, "a value")
    return failure


def _instead_of(value: object) -> str:
    """Return what to pass instead of a value that has no type on the server."""
    if _holds(value, dict):
        return f"; {JSONB}, as a whole if it is one document"
    return "; pass a list" if isinstance(value, AbstractSet | Iterator) else ""


_OUTPUT_IN_A_LIST = (
    "an output cannot be in a list; write a parameter for each item in a sql(), such as "
    "id IN (%(a)s, %(b)s)"
)


def _holds(value: object, kind: type[object]) -> bool:
    """Return whether a value is of a type, or a list that has one at any depth."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, kind):
            return True
        if isinstance(item, list | tuple):
            todo += cast("Sequence[object]", item)
    return False
