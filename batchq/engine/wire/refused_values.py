# SPDX-License-Identifier: MIT
"""Refuse values that no statement takes where they are inside of others, as an Unknown in JSON.

A serializer may write anything for them: ``default=str`` would store what repr() returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import TYPE_CHECKING

from psycopg.adapt import PyFormat
from psycopg.types import json as types_of_json
from psycopg.types.json import Json, Jsonb

from batchq.engine.inner_values import inner_values, reader_of
from batchq.language.parameters import Parameter
from batchq.language.special import REFUSED_IN_JSON, UNWRITABLE
from batchq.language.spelling import with_article

if TYPE_CHECKING:
    from psycopg.abc import Transformer

Kinds = AbstractSet[type[object]]
"""The classes of values, and of those in lists."""

_OF_PSYCOPG = frozenset(
    {
        types_of_json.JsonDumper,
        types_of_json.JsonBinaryDumper,
        types_of_json.JsonbDumper,
        types_of_json.JsonbBinaryDumper,
    }
)
"""Dumpers that write what json.dumps returns. That of a connection with another serializer is a
subclass."""


class RefusedValue(Exception):
    """A value is refused, or has another one in it that is."""


@lru_cache(maxsize=1024)
def may_be_refused(kinds: frozenset[type[object]]) -> bool:
    """Return whether a value of one of these classes may be refused."""
    return any(
        kind is Parameter
        or kind in UNWRITABLE
        or (kind is not list and reader_of(kind) is not None)
        for kind in kinds
    )


def check_inner_values(values: Sequence[object], kinds: Kinds, transformer: Transformer) -> None:
    """Refuse values that no statement takes, also inside of others; and what is not bound.

    JSON that is written by psycopg's own serializer is not looked into: that takes about as long as
    to write it, and json.dumps fails for each value that is refused.

    :raises RefusedValue: the reason is found by :func:`refused_in`.
    """
    if Parameter in kinds:
        raise RefusedValue
    for value in values:
        if reader_of(type(value)) is None or _is_json_of_psycopg(value, transformer):
            continue
        if refused_in(value) is not None:
            raise RefusedValue


def _is_json_of_psycopg(value: object, transformer: Transformer) -> bool:
    if not isinstance(value, Json | Jsonb) or value.dumps is not None:
        return False
    dumper = transformer.get_dumper(value, PyFormat.AUTO)
    return type(dumper) in _OF_PSYCOPG and getattr(dumper, "dumps", None) is json.dumps


def refused_in(value: object) -> str | None:
    """Return which value in another one is refused, and what to write instead."""
    may_be_in_json = False
    for each in inner_values(value):
        kind = type(each)
        if kind in UNWRITABLE:
            return _text(kind, UNWRITABLE[kind])
        may_be_in_json |= kind in REFUSED_IN_JSON
    if may_be_in_json:
        for each in _in_json(value):
            kind = type(each)
            if kind in REFUSED_IN_JSON:
                return _text(kind, REFUSED_IN_JSON[kind])
    return None


def json_in_json(value: object) -> str | None:
    """Return what to write instead of JSON in JSON, which json.dumps does not write."""
    for each in _in_json(value):
        if isinstance(each, Json | Jsonb):
            return _text(type(each), "pass its .obj")
    return None


def _in_json(value: object) -> Iterator[object]:
    for each in inner_values(value):
        if isinstance(each, Json | Jsonb):
            yield from inner_values(each.obj)


def _text(kind: type[object], instead: str) -> str:
    return f"it has {with_article(kind)} in it: {instead}"
