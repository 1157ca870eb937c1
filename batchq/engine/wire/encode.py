# SPDX-License-Identifier: MIT
"""Encode every value of the batch before the first byte is sent.

A value of the last statement that cannot be encoded must fail before the first statement is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, cast

from psycopg.adapt import PyFormat

from batchq.engine.filling import Filling, filling_of, parameters_of
from batchq.engine.hints import JSONB
from batchq.engine.plan import Plan
from batchq.engine.program import Program
from batchq.engine.redaction import is_drivers, is_safe, stand_in
from batchq.engine.step import invalid_step
from batchq.engine.wire.constants import Constants, Dumped
from batchq.engine.wire.encoded import Encoded
from batchq.engine.wire.integers import UNSTABLE, NoBigint, stable
from batchq.engine.wire.message_length import check_lengths
from batchq.engine.wire.refused_values import check_inner_values, json_in_json, refused_in
from batchq.engine.wire.sendable import sendable
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.spelling import with_article

if TYPE_CHECKING:
    from psycopg.abc import Transformer

    from batchq.engine.wire.transformers import KeptTransformer

_AUTO = PyFormat.AUTO
_MUTABLE = frozenset({bytearray, memoryview})
"""Classes of constants that may change from one run to the next."""


def encode(
    plan: Plan, program: Program, kept: KeptTransformer, max_bytes: int = sys.maxsize
) -> Encoded:
    """Encode every statement's values with the connection's adapters.

    One transformer and one call serve the whole batch, because finding the dumper of a type is the
    expensive part.

    :param max_bytes: the most bytes that the server reads in one message.
    :raises InvalidBatch: for a value that cannot be adapted, or a message that is too long. It has
        the ``step``, and no reference to an error that may hold the value.
    """
    failure: InvalidBatch | None = None
    encoded: Encoded | None = None
    try:
        filling = filling_of(plan, program)
        if filling is None:
            dumped = _dumped(parameters_of(plan, program), kept.transformer)
            encoded = Encoded(program, *dumped)
        else:
            encoded = _filled(program, filling, _dumped(plan.given, kept.transformer), kept)
    except Exception as error:  # noqa: BLE001  it, or a stand-in, is the cause of what is raised
        failure = _find_value(plan, kept.transformer, error)
    if encoded is None or failure is not None:
        raise cast("InvalidBatch", failure)  # outside the except block: it would be its context
    check_lengths(plan, encoded, max_bytes)
    return encoded


def _dumped(values: Sequence[object], transformer: Transformer) -> Dumped:
    """Encode values in one call."""
    values, kinds, missing = sendable(values)
    if Parameter in kinds:
        raise _Unbound
    check_inner_values(values, kinds, transformer)
    params = transformer.dump_sequence(values, (_AUTO,) * len(values))
    types, formats = transformer.types or (), transformer.formats or ()
    size = sum(map(len, filter(None, params)))
    return Dumped(params, types, formats, missing, kinds, size)


def _filled(program: Program, filling: Filling, given: Dumped, kept: KeptTransformer) -> Encoded:
    """Put encoded values to their places, between the constants, which are encoded once."""
    constants = kept.constants.get(filling)
    if constants is None:
        constants = Constants(filling, _dumped(filling.constants, kept.transformer))
        if constants.kinds.isdisjoint(_MUTABLE) and kept.dumps_stateless(constants.kinds):
            kept.constants[filling] = constants
    types, formats, missing = constants.around(given, filling)
    return Encoded(
        program,
        filling.pick([*given.params, *constants.params]),
        types,
        formats,
        missing,
        given.kinds | constants.kinds,
        given.size * filling.most + constants.size,
        constants,
    )


class _Unbound(Exception):
    """A value is a parameter."""


def _find_value(plan: Plan, transformer: Transformer, original: Exception) -> InvalidBatch:
    """Return the error for the value that cannot be encoded, by encoding one after the other."""
    for index, placed in enumerate(plan.placed):
        names = placed.statement._shape.names
        for name, value in zip(names, placed.values, strict=True):
            if isinstance(value, Parameter):
                given = f"{value.name}=…" if value.row is None else f"{value.row.__name__}…"
                given = "" if value.is_default else given
                return invalid_step(plan, index, f"{value.name!r} is not bound: .bind({given})")
            if isinstance(value, Output):
                continue  # the name of a setting is sent in its place
            what = f"the value of {name!r}, {with_article(type(value))}, cannot be sent"
            if (found := refused_in(value)) is not None:
                return invalid_step(plan, index, f"{what}; {found}")
            dumper: object = None
            try:
                sent = stable(value) if type(value) in UNSTABLE else value
                if sent is not None:
                    dumper = transformer.get_dumper(sent, _AUTO)
                transformer.dump_sequence([sent], [_AUTO])
            except Exception as error:  # noqa: BLE001  any dumper may be the user's own
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
    if (found := json_in_json(value)) is not None:
        return f"; {found}"
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
