# SPDX-License-Identifier: MIT
"""Encoding: every value of the batch to bytes, before the first byte is sent.

A value that cannot be encoded in the last statement must find nothing of the first one sent.
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
from batchq.language.statement import Statement

if TYPE_CHECKING:
    from psycopg.abc import Transformer

_AUTO = PyFormat.AUTO


SentTypes = dict[Compiled, tuple[int, ...]]
"""The types of each statement's parameters when it was last sent on a connection."""
_MOST_SENT = 4096
"""As many as are kept compiled."""


@define(eq=False)
class Encoded:
    """One step, ready to be sent."""

    compiled: Compiled
    params: Sequence[Any]
    """Bytes, or None for NULL, in the order of ``$1``, ``$2``, …"""
    types: tuple[int, ...]
    """Their type OIDs; 0 leaves the choice to the server."""
    settled: tuple[int, ...]
    """The same, but with the types last sent for what has none of its own, to be prepared by."""
    formats: Sequence[int]
    """Text or binary. No part of a statement's identity: Bind says it anew each time."""


def encode(
    plan: Plan,
    transformer: Transformer,
    sent: SentTypes,
    *,
    binary: bool = True,
    max_bytes: int = sys.maxsize,
) -> list[Encoded]:
    """Encode every statement's values with the connection's own adapters.

    One transformer and one call for the whole batch: looking up how to dump a type is what costs.

    :param sent: the types that were last sent on this connection, which is brought up to date.
    :param binary: whether the server can make a value binary in SQL.
    :param max_bytes: bytes that the server reads in one message.
    :raises InvalidBatch: for a statement that cannot be compiled, a value that cannot be adapted,
        or what is too long for one message; its ``step`` is the one. It has no tie to an error
        that may hold the value.
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
    refused: InvalidBatch | None = None
    try:
        settings = OutputSettings(plan) if plan.outputs else None
        for index, shape in enumerate(shapes):
            start = len(flat)
            _extend(flat, plan.statements[index], shape)
            if settings is not None:
                settings.bind(index, flat, start)
        dumped = transformer.dump_sequence(flat, [_AUTO] * len(flat))
    except Exception as error:  # noqa: BLE001  it is in what is raised, or stood for
        refused = _culprit(plan.placed, transformer, error)
    if refused is not None:
        raise refused  # not above, where the error would be its context
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
    """Bring up to date what was sent last, and say by which types it is prepared."""
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
    """Give NULL and the empty list, which have no type of their own, the one last sent there.

    Otherwise a statement would be another one to the server whenever a value is missing. Not in
    SQL of the user's own: there the type of a NULL may decide which function it is given to.
    """
    return tuple(
        old
        if place is not Place.FREE and (value is None or (type(value) is list and not value))
        else new
        for new, old, value, place in zip(types, last, values, places, strict=True)
    )


def _extend(flat: list[object], statement: Statement[Any], shape: Compiled) -> None:
    """Add the values in the order of ``$1``, ``$2``, …, those that batchq adds last."""
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
"""What has an output has exactly one row."""


_UNSTABLE = frozenset({int, list})


def _stable(value: Any) -> object:
    """Make integers bigint, whatever their size.

    psycopg picks the smallest type that holds the value, and the type is part of a statement's
    identity: every third value would be another statement.

    :raises _NoBigint: for an integer that is none.
    """
    if type(value) is int:
        if not -_BEYOND_BIGINT <= value < _BEYOND_BIGINT:
            message = "an integer does not fit bigint: pass a Decimal"
            raise _NoBigint(message)
        return Int8(value)
    return [_stable(item) if type(item) in _UNSTABLE else item for item in value]


_BEYOND_BIGINT = 1 << 63


class _NoBigint(Exception):
    """An integer does not fit where batchq sends integers."""


def _located(error: Exception, step: PlacedStep) -> InvalidBatch:
    return InvalidBatch(f"{step}: {error}", step=step)


def _culprit(
    leaves: Sequence[PlacedStatement], transformer: Transformer, found: Exception
) -> InvalidBatch:
    """Find the value that cannot be encoded, one by one, and say what to do about it."""
    for index, leaf in enumerate(leaves):
        statement = leaf.statement
        names = statement._shape.names
        for name, value in zip(names, statement._values, strict=True):
            if isinstance(value, Output):
                continue  # what is sent is a name
            dumper: object = None
            try:
                stable = _stable(value) if type(value) in _UNSTABLE else value
                if stable is not None:
                    dumper = transformer.get_dumper(stable, _AUTO)
                transformer.dump_sequence([stable], [_AUTO])
            except Exception as error:  # noqa: BLE001  any dumper may be the user's own
                kind = type(value).__name__
                what = f"the value of {name!r}, a {kind}, cannot be sent"
                # Anybody else's words may quote the value.
                plain = isinstance(error, _NoBigint) or is_safe(error)
                said = f": {error}" if plain else ""
                refused = _located(
                    InvalidBatch(what + said + _instead_of(value)), PlacedStep(index, leaf)
                )
                own = plain or (dumper is not None and not is_drivers(dumper))
                refused.__cause__ = error if own else stand_in(error, what)
                return refused
    refused = InvalidBatch("a value cannot be sent, though each can on its own")
    refused.__cause__ = stand_in(found, "a value")
    return refused


def _instead_of(value: object) -> str:
    """Say what to pass instead of what no type of the server's is made of."""
    if _holds_dict(value):
        return f"; {JSONB}, as a whole if it is one document"
    return "; pass a list" if isinstance(value, AbstractSet | Iterator) else ""


def _holds_dict(value: object) -> bool:
    """Whether it is a dict, or a list with one anywhere in it."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            return True
        if isinstance(one, list | tuple):
            todo += cast("Sequence[object]", one)
    return False
