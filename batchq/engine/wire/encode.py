# SPDX-License-Identifier: MIT
"""Encode every value of the batch before the first byte is sent.

A value of the last statement that cannot be encoded must fail before the first statement is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from typing import TYPE_CHECKING, cast
from weakref import ref

from psycopg.adapt import PyFormat

from batchq.engine.filling import Filling, parameters_of
from batchq.engine.hints import JSONB
from batchq.engine.plan import Plan
from batchq.engine.program import Program
from batchq.engine.redaction import is_drivers, is_safe, stand_in
from batchq.engine.step import invalid_step
from batchq.engine.wire.constants import Constants
from batchq.engine.wire.dump import dump
from batchq.engine.wire.encoded import Encoded
from batchq.engine.wire.integers import UNSTABLE, NoBigint, stable
from batchq.engine.wire.message_length import PER_VALUE, REST, check_lengths
from batchq.engine.wire.refused_values import json_in_json, refused_in
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.spelling import with_article

if TYPE_CHECKING:
    from psycopg.abc import Transformer

    from batchq.engine.wire.transformers import KeptTransformer

_AUTO = PyFormat.AUTO
_MUTABLE = bytearray, memoryview, datetime, time
"""Classes of constants that may be sent as something else in the next run. The offset of a time
zone of the caller's own may be another one by then."""


def encode(
    plan: Plan,
    program: Program,
    kept: KeptTransformer,
    filling: Filling | None = None,
    max_bytes: int = sys.maxsize,
) -> Encoded:
    """Encode every statement's values with the connection's adapters.

    One transformer and one call serve the whole batch, because finding the dumper of a type is the
    expensive part.

    :param filling: how the given values of a bound batch fill the program; None for a built one.
    :param max_bytes: the most bytes that the server reads in one message.
    :raises InvalidBatch: for a value that cannot be adapted, or a message that is too long. It has
        the ``step``, and no reference to an error that may hold the value.
    """
    failure: InvalidBatch | None = None
    encoded: Encoded | None = None
    transformer = kept.transformer
    try:
        if filling is None:
            encoded = Encoded(program, *dump(parameters_of(plan, program), transformer))
        else:
            constants = kept.constants.get(ref(filling)) or _constants(filling, kept)
            dumped = constants.around(dump(plan.given, transformer), filling)
            encoded = Encoded(program, *dumped, constants)
    except Exception as error:  # noqa: BLE001  it, or a stand-in, is the cause of what is raised
        failure = _find_value(plan, transformer, error)
    if encoded is None or failure is not None:
        raise cast("InvalidBatch", failure)  # outside the except block: it would be its context
    # The values of all steps are looked at first: few batches have a long one.
    if program.is_long or encoded.size + PER_VALUE * len(encoded.params) > max_bytes - REST:
        check_lengths(plan, encoded, max_bytes)
    return encoded


def _constants(filling: Filling, kept: KeptTransformer) -> Constants:
    """Return the encoded constants of a declaration; keep them if they stay the same."""
    constants = Constants(filling, dump(filling.constants, kept.transformer))
    may_change = any(issubclass(kind, _MUTABLE) for kind in constants.kinds)
    if not may_change and kept.dumps_stateless(constants.kinds):
        constants.kinds = frozenset()  # nothing that has to be known of them any more
        kept.keep(filling, constants)
    return constants


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
                b"".join(filter(None, transformer.dump_sequence([sent], [_AUTO])))
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
