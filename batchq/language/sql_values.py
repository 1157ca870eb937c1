# SPDX-License-Identifier: MIT
"""Read the values of a ``sql()`` text: by keyword or in a mapping, with fragments among them.

A fragment stands in parentheses, so that it is one operand whatever is around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from batchq.language import placeholders
from batchq.language.comparisons import copy_lists
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import casts
from batchq.language.special import NO_PARAMETERS
from batchq.language.spelling import with_article
from batchq.language.syntax import Expression, Nested, RawSql

Values = tuple[object, ...]


def read_text(text: str, names: tuple[str, ...], values: Values) -> tuple[RawSql, Values]:
    """Return the SQL of a text, and the values of its parameters.

    :param names: the name of each value.
    :raises InvalidBatch: for a name that is missing or not used, and for a whole statement.
    """
    values = copy_lists("sql()", values)
    if NO_PARAMETERS.isdisjoint(map(type, values)):
        return placeholders.text(text, names, ()), values
    fragments: list[tuple[str, RawSql]] = []
    own: dict[str, object] = {}
    nested: list[object] = []
    for name, value in zip(names, values, strict=True):
        if isinstance(value, Expression):
            fragment, parameters = value._as_expression(f"sql({name}=)")
            fragments.append((name, fragment))
            nested += parameters
        else:
            own[name] = value
    outputs = casts(tuple(own.values()))
    if not fragments:
        return placeholders.text(text, names, outputs), values
    source = _with_fragments(text, tuple(own), outputs, tuple(fragments))
    return source, (*own.values(), *nested)


@lru_cache(maxsize=4096)
def _with_fragments(
    sql: str,
    names: tuple[str, ...],
    outputs: tuple[str | None, ...],
    fragments: tuple[tuple[str, RawSql], ...],
) -> RawSql:
    placeholders.text(sql, (*names, *[name for name, _ in fragments]), ())  # which checks the names
    places: dict[str, int | Nested] = {name: i for i, name in enumerate(names)}
    for name, fragment in fragments:
        places[name] = Nested(fragment, len(names))
        names += fragment.names
    pieces, used = placeholders.split(sql)
    for i, name in enumerate(used):
        if isinstance(places[name], Nested):
            pieces[i] += "("
            pieces[i + 1] = ")" + pieces[i + 1]
    order = tuple([places[name] for name in used])
    return placeholders.read(sql, tuple(pieces), order, names, outputs)


def read_mapping(
    text: str, mapping: Mapping[str, object], named: Mapping[str, object]
) -> tuple[str, tuple[str, ...], Values]:
    """Return a text with the names and the values that it uses.

    A mapping may hold more than the text uses, as in psycopg. A keyword that is not used is a
    mistake.

    :raises InvalidBatch: for a name that is missing, given twice, or a keyword that is not used.
    """
    given = cast("object", mapping)
    if not isinstance(given, Mapping):
        raise InvalidBatch(
            f'sql(): pass values by keyword or in a mapping, {{"id": 7}}, not '
            f"{with_article(type(given))}"
        )
    used = placeholders.names_in(text)
    for name in named:
        if name in mapping:
            raise InvalidBatch(f"sql(): {name!r} is given twice: the mapping has it")
        if name not in used:
            raise placeholders.not_used(name)
    for name in used:
        if name not in mapping and name not in named:
            raise InvalidBatch(f"sql(): %({name})s has no value; the mapping has no {name!r}")
    values = tuple([named[name] if name in named else mapping[name] for name in used])
    # A text with a mapping is one with parameters, even if it uses none.
    return text if used else placeholders.split(text)[0][0], used, values
