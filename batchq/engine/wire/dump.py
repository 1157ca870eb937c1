# SPDX-License-Identifier: MIT
"""Encode values by one call of psycopg, with those changed that it would send differently.

A service sends values of the same classes again and again. So it is found once for each sequence of
classes where the integers, the lists and the NULLs are, and whether anything may be refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any

from attrs import frozen
from psycopg.adapt import PyFormat
from psycopg.types.numeric import Int8

from batchq.engine.wire.integers import BEYOND_BIGINT, new_bigint, stable
from batchq.engine.wire.refused_values import Kinds, check_inner_values, may_be_refused

if TYPE_CHECKING:
    from psycopg.abc import Transformer

_MOST_VALUES = 1024
"""The number of values up to which what is found is kept, and that are joined at a time."""
_MOST_FORMS = 1024
"""The number of sequences of classes of which it is kept."""

Dumped = tuple[Sequence[Any], tuple[int, ...], Sequence[int], tuple[int, ...], Kinds, int]
"""Encoded values; their types, and formats; the places of those that have no type of their own,
that of an empty list as ``~place``; the classes of all, and of those in lists; their length."""


def dump(given: Sequence[Any], transformer: Transformer) -> Dumped:
    """Encode values, each int as a bigint.

    :raises NoBigint: for an integer that does not fit.
    :raises RefusedValue: for a value that no statement takes, or that has one in it.
    """
    classes = tuple(map(type, given))
    form = _forms.get(classes) or _form(classes)
    values, kinds, missing = given, form.kinds, form.missing
    is_open = form.may_be_refused
    if form.integers or form.lists:
        values = list(given)
        for place in form.integers:
            value = values[place]
            if -BEYOND_BIGINT <= value < BEYOND_BIGINT:  # most of them, without a call
                values[place] = new_bigint(Int8, value)
            else:
                values[place] = stable(value)
        if form.lists:
            inner, missing = _look_into_lists(values, form)
            if not inner <= kinds:
                kinds |= inner
                is_open = is_open or may_be_refused(frozenset(inner))
    if is_open:
        check_inner_values(values, kinds, transformer)
    auto = form.formats
    del classes, form  # of very many values they take as much memory as the values
    params = transformer.dump_sequence(values, auto)
    types, formats = transformer.types or (), transformer.formats or ()
    # To join them fails if a dumper returned no bytes, and takes less time than to sum the lengths.
    size = len(b"".join(filter(None, params))) if len(params) <= _MOST_VALUES else _size(params)
    return params, types, formats, missing, kinds, size


def _size(params: Sequence[Any]) -> int:
    """Return the length of very many; no more than a few of them are copied at a time."""
    starts = range(0, len(params), _MOST_VALUES)
    return sum(len(b"".join(filter(None, params[n : n + _MOST_VALUES]))) for n in starts)


@frozen(eq=False)
class _Form:
    """What values of the same classes have in common."""

    kinds: Kinds
    """Their classes as they are sent."""
    formats: Sequence[PyFormat]
    missing: tuple[int, ...]
    """The places of NULLs."""
    integers: tuple[int, ...]
    lists: tuple[int, ...]
    may_be_refused: bool
    """Whether one of them may be refused, or have another in it that is."""


_forms: dict[tuple[type[object], ...], _Form] = {}


def _form(classes: tuple[type[object], ...]) -> _Form:
    """Find what values of these classes have in common, and keep it unless they are many."""
    found = set(classes)
    nulls, integers, lists = [
        tuple([n for n, each in enumerate(classes) if each is kind]) if kind in found else ()
        for kind in (NoneType, int, list)
    ]
    kinds = frozenset(_as_sent(found))
    formats = (PyFormat.AUTO,) * len(classes)
    form = _Form(kinds, formats, nulls, integers, lists, may_be_refused(kinds))
    if len(classes) <= _MOST_VALUES:
        if len(_forms) >= _MOST_FORMS:
            _forms.clear()
        _forms[classes] = form
    return form


def _look_into_lists(values: list[Any], form: _Form) -> tuple[Kinds, tuple[int, ...]]:
    """Put lists that can be sent to their places.

    :return: the classes of the values in them, and the places of values without a type.
    """
    lists = [values[place] for place in form.lists]
    kinds = _kinds_in(lists)
    if int in kinds:
        for place in form.lists:
            values[place] = stable(values[place])
        kinds = _as_sent(kinds)
    empty = [~place for place in form.lists if not values[place]]
    if empty and form.missing:
        empty = sorted([*form.missing, *empty], key=lambda place: max(place, ~place))
    return kinds, tuple(empty) if empty else form.missing


def _kinds_in(lists: Sequence[list[Any]]) -> set[type[object]]:
    """Return the classes of the values in lists, and in the lists in them."""
    kinds = set(map(type, chain.from_iterable(lists)))
    if list in kinds:
        inner: list[list[Any]] = [item for own in lists for item in own if type(item) is list]
        kinds |= _kinds_in(inner)
    return kinds


def _as_sent(kinds: set[type[object]]) -> set[type[object]]:
    return (kinds - {int}) | {Int8} if int in kinds else kinds
