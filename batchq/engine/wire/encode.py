# SPDX-License-Identifier: MIT
"""Encode every value of the batch before the first byte is sent.

A value of the last statement that cannot be encoded must fail before the first statement is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from attrs import define
from psycopg.adapt import PyFormat

from batchq.engine.compile.compile import Compiled
from batchq.engine.compile.parameter_places import Place
from batchq.engine.hints import JSONB
from batchq.engine.plan import Plan
from batchq.engine.program import Program, setting_name
from batchq.engine.redaction import is_drivers, is_safe, stand_in
from batchq.engine.step import invalid_step
from batchq.engine.wire.integers import UNSTABLE, NoBigint, stable, stable_all
from batchq.engine.wire.message_length import check_lengths
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.spelling import with_article

if TYPE_CHECKING:
    from psycopg.abc import Transformer
    from psycopg.types import TypesRegistry

_AUTO = PyFormat.AUTO


SentTypes = dict[Compiled, tuple[int, ...]]
"""The types of each statement's parameters when it was last sent on a connection."""
_MOST_SENT = 4096
"""The number of statements whose types are kept: as many as are kept compiled."""


@define(eq=False)
class EncodedStep:
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


@define(eq=False)
class Encoded:
    """The parameters of all steps of a batch, one step after the other."""

    program: Program
    params: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[int]
    missing: tuple[int, ...]
    """The places of values that have no type of their own; that of an empty list as ``~place``."""
    kinds: AbstractSet[type[object]]
    """The classes of the values, and of those in lists."""

    def steps(self, sent: SentTypes, registry: TypesRegistry) -> list[EncodedStep]:
        """Return each step on its own.

        :param sent: the types that were last sent on this connection, which is brought up to date.
        :param registry: the connection's, which knows the types of arrays.
        """
        steps: list[EncodedStep] = []
        nulls = {place for place in self.missing if place >= 0}
        lists = {~place for place in self.missing if place < 0}
        start = 0
        for compiled, end in zip(self.program.steps, self.program.ends, strict=True):
            settled = types = self.types[start:end]
            last = sent.get(compiled)
            if last is not None and types != last:
                own = range(start, end)
                untyped = {place - start for place in nulls.intersection(own)}
                # An empty list is text, so it keeps its value only by way of an array's type.
                untyped |= {
                    place - start
                    for place in lists.intersection(own)
                    if _is_array(last[place - start], registry)
                }
                settled = _settled(types, last, untyped, compiled.places)
            if settled != last:
                _remember(sent, compiled, settled)
            params, formats = self.params[start:end], self.formats[start:end]
            steps.append(EncodedStep(compiled, params, types, settled, formats))
            start = end
        return steps


def encode(
    plan: Plan, program: Program, transformer: Transformer, max_bytes: int = sys.maxsize
) -> Encoded:
    """Encode every statement's values with the connection's adapters.

    One transformer and one call serve the whole batch, because finding the dumper of a type is the
    expensive part.

    :param max_bytes: the most bytes that the server reads in one message.
    :raises InvalidBatch: for a value that cannot be adapted, or a message that is too long. It has
        the ``step``, and no reference to an error that may hold the value.
    """
    params: Sequence[Any] = ()
    missing: tuple[int, ...] = ()
    kinds: AbstractSet[type[object]] = frozenset()
    failure: InvalidBatch | None = None
    try:
        values = _values(plan, program)
        kinds = _kinds(values)
        _check_bound(kinds)
        values = stable_all(values, kinds)
        missing = _missing(values, kinds)
        params = transformer.dump_sequence(values, program.formats)
    except Exception as error:  # noqa: BLE001  it, or a stand-in, is the cause of what is raised
        failure = _find_value(plan, transformer, error)
    if failure is not None:
        raise failure  # outside the except block, where the error would become its context
    types, formats = transformer.types or (), transformer.formats or ()
    encoded = Encoded(program, params, types, formats, missing, kinds)
    check_lengths(plan, encoded, max_bytes)
    return encoded


class _Unbound(Exception):
    """A value is a parameter."""


def _check_bound(kinds: AbstractSet[type[object]]) -> None:
    if Parameter in kinds:
        raise _Unbound


def _values(plan: Plan, program: Program) -> Sequence[object]:
    """Return the values in the order of the parameters, with those that batchq adds."""
    values = _with_setting_names(plan) if plan.outputs else _own_values(plan)
    values += program.added
    return values if program.in_order is None else program.in_order(values)


def _own_values(plan: Plan) -> list[object]:
    values: list[object] = []
    for statement in plan.statements:
        values += statement._values
    return values


def _with_setting_names(plan: Plan) -> list[object]:
    """Return the values of all statements, with the name of its setting in place of an output."""
    values: list[object] = []
    producers: dict[object, int] = {}
    for index, statement in enumerate(plan.statements):
        for value in statement._values:
            if isinstance(value, Output):
                producer = producers[value.identity]
                place = plan.outputs[producer].index(value.column)
                values.append(setting_name(producer, place))
            else:
                values.append(value)
        if index in plan.outputs:
            producers[statement._identity] = index
    return values


def _remember(sent: SentTypes, compiled: Compiled, types: tuple[int, ...]) -> None:
    """Record the types as last sent."""
    if compiled not in sent and len(sent) >= _MOST_SENT:
        sent.clear()
    sent[compiled] = types


def _is_array(oid: int, registry: TypesRegistry) -> bool:
    info = registry.get(oid)
    return info is not None and info.array_oid == oid


def _settled(
    types: tuple[int, ...],
    last: tuple[int, ...],
    missing: AbstractSet[int],
    places: tuple[Place, ...],
) -> tuple[int, ...]:
    """Return the types, with the last one sent for NULL and the empty list, which have none.

    Otherwise the server would prepare another statement whenever a value is missing. In the user's
    own SQL the types stay, because there the type of a NULL may decide which function is called.
    """
    return tuple(
        old if index in missing and place is not Place.FREE else new
        for index, (new, old, place) in enumerate(zip(types, last, places, strict=True))
    )


def _kinds(values: Sequence[object]) -> set[type[object]]:
    """Return the classes of values, and of those in lists."""
    kinds = set(map(type, values))
    if list in kinds:
        for value in values:
            if type(value) is list:
                kinds |= _kinds(cast("list[object]", value))
    return kinds


_MAY_BE_MISSING = frozenset({NoneType, list})


def _missing(values: Sequence[object], kinds: AbstractSet[type[object]]) -> tuple[int, ...]:
    """Return the places of the values that have no type of their own."""
    if _MAY_BE_MISSING.isdisjoint(kinds):
        return ()
    places = enumerate(values)
    return tuple(
        [
            place if value is None else ~place
            for place, value in places
            if value is None or (type(value) is list and not value)
        ]
    )


def _find_value(plan: Plan, transformer: Transformer, original: Exception) -> InvalidBatch:
    """Return the error for the value that cannot be encoded, by encoding one after the other."""
    for index, statement in enumerate(plan.statements):
        names = statement._shape.names
        for name, value in zip(names, statement._values, strict=True):
            if isinstance(value, Parameter):
                given = f"{value.name}=" if value.row is None else value.row.__name__
                return invalid_step(plan, index, f"{value.name!r} is not bound: .bind({given}…)")
            if isinstance(value, Output):
                continue  # the name of a setting is sent in its place
            dumper: object = None
            try:
                sent = stable(value) if type(value) in UNSTABLE else value
                if sent is not None:
                    dumper = transformer.get_dumper(sent, _AUTO)
                transformer.dump_sequence([sent], [_AUTO])
            except Exception as error:  # noqa: BLE001  any dumper may be the user's own
                what = f"the value of {name!r}, {with_article(type(value))}, cannot be sent"
                if _holds(value, Parameter):
                    return invalid_step(plan, index, f"{what}; {_PARAMETER_IN_A_LIST}")
                if _holds(value, Output):
                    return invalid_step(plan, index, f"{what}; {_OUTPUT_IN_A_LIST}")
                # The message of any other error may quote the value.
                safe = isinstance(error, NoBigint) or is_safe(error)
                reason = f": {error}" if safe else ""
                failure = invalid_step(plan, index, what + reason + _instead_of(value))
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


_PARAMETER_IN_A_LIST = (
    'a parameter cannot be in a list; declare the whole list: param("name", list[…])'
)


def _holds(value: object, kind: type[object]) -> bool:
    """Return whether a value is of a type, or a list that has one at any depth."""
    todo, seen = [value], set[int]()
    while todo:
        item = todo.pop()
        if isinstance(item, kind):
            return True
        known = id(item) in seen  # a collection may contain itself
        seen.add(id(item))
        if not known and isinstance(item, list | tuple):
            todo += cast("Sequence[object]", item)
    return False
