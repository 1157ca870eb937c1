# SPDX-License-Identifier: MIT
"""Find the values inside of a value: in collections and models, and in JSON of these.

An object that is none of them is not looked into, because only its own serializer knows what of it
is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import Any, cast

import attrs
from psycopg.types.json import Json, Jsonb

from batchq.language.results import model_fields
from batchq.language.special import Special

_SCALARS = frozenset({str, int, float, bool, type(None), bytes})
"""Most of what is in JSON. A list of them is passed over without a step for each."""
_WHOLE = (str, bytes, bytearray, memoryview, range, Enum, Special)
"""Collections and models that are one value each. A flag is a collection, and a model may be
special."""

Reader = Callable[[Any], Iterable[object]]


def inner_values(value: object) -> Iterator[object]:
    """Yield a value and all that is in it, but for plain texts and numbers in it."""
    todo = [value]
    seen: dict[int, object] = {}  # kept, so that no other object gets the id
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        yield each
        read = reader_of(type(each))
        if read is not None:
            seen[id(each)] = each
            inner = read(each)
            if not _SCALARS.issuperset(map(type, inner)):
                todo += [item for item in inner if type(item) not in _SCALARS]


def reader_of(kind: type[object]) -> Reader | None:
    """Return what reads the values in one of a type; None for a type that has none.

    It returns a collection, which can be read twice.
    """
    return _reader_of(cast("Hashable", kind))


@lru_cache(maxsize=1024)
def _reader_of(kind: Any) -> Reader | None:
    if issubclass(kind, _WHOLE):
        return None
    if issubclass(kind, Json | Jsonb):
        return _of_json
    if issubclass(kind, Mapping):
        return _keys_and_values
    # Not every Collection: an array of numpy is one, of as many objects as it has numbers.
    if issubclass(kind, Sequence | AbstractSet | MappingView):
        return list
    names = _attributes(kind)
    if not names:
        return None
    return lambda model: [getattr(model, name, None) for name in names]


def _of_json(json: Any) -> Iterable[object]:
    return (json.obj,)


def _keys_and_values(mapping: Mapping[object, object]) -> Iterable[object]:
    return list(chain(mapping, mapping.values()))


def _attributes(kind: type[Any]) -> Sequence[str]:
    """Return the names of the fields of a model, also of those that its caller does not pass."""
    if attrs.has(kind):
        return [field.name for field in attrs.fields(kind)]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return [field.column for field in model_fields(cast("Hashable", kind)) or ()]
