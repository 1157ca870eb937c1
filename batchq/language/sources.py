# SPDX-License-Identifier: MIT
"""What a statement does, without its values: the shape that SQL is made of once and then reused.

A source holds everything that decides the text of a statement and nothing that does not, so equal
sources are the same text. Values travel beside it, in the order in which the source takes them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar

from attrs import field, frozen

from batchq.language.errors import InvalidBatch

# psycopg's placeholders, and what users write by mistake: %% | %(name)s | % and anything else
_PERCENT = re.compile(r"%(?:(%)|\(([^)]*)\)(.?)|(.?))", re.DOTALL)


@frozen(eq=False)
class Text:
    """Real SQL as a user wrote it, cut at its placeholders: ``pieces[i]`` stands before the
    parameter ``order[i]`` (an index into ``names``), the last piece after all of them."""

    pieces: tuple[str, ...]
    order: tuple[int, ...]
    names: tuple[str, ...]

    verb: ClassVar[str] = "sql"
    table: ClassVar[None] = None


@frozen(eq=False)
class Insert:
    """INSERT of one row. A cell is None for a parameter, or a fragment."""

    table: str
    columns: tuple[str, ...]
    cells: tuple[Text | None, ...]

    verb: ClassVar[str] = "insert"


EQUALS = "="
"""``column = …``: takes one value."""
EQUALS_ANY = "= ANY"
"""``column = ANY(…)``: takes a list."""
IS_NULL = "IS NULL"
"""``column IS NULL``: takes no value."""

Conditions = tuple[tuple[str, str | Text], ...] | Text
"""Columns, each with one of the three tests or a fragment that it equals; or one fragment."""


@frozen(eq=False)
class Update:
    """UPDATE of the rows that the conditions select."""

    table: str
    columns: tuple[str, ...]
    cells: tuple[Text | None, ...]
    where: Conditions

    verb: ClassVar[str] = "update"


@frozen(eq=False)
class Delete:
    """DELETE of the rows that the conditions select."""

    table: str
    where: Conditions

    verb: ClassVar[str] = "delete"


@frozen(eq=False)
class Select:
    """SELECT of named columns; ``columns`` is None when the model names them."""

    table: str
    columns: tuple[str | Text, ...] | None
    where: Conditions = field(default=())

    verb: ClassVar[str] = "select"


Source = Text | Insert | Update | Delete | Select


def parameter_names(source: Source) -> tuple[str, ...]:
    """A name for each of the values that the source takes, in their order; for people."""
    match source:
        case Text():
            return source.names
        case Insert():
            return _cell_names(source.columns, source.cells)
        case Update():
            return _cell_names(source.columns, source.cells) + _condition_names(source.where)
        case Delete():
            return _condition_names(source.where)
        case Select():
            columns = source.columns or ()
            inner = tuple(n for column in columns if isinstance(column, Text) for n in column.names)
            return inner + _condition_names(source.where)


def _cell_names(columns: tuple[str, ...], cells: tuple[Text | None, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for column, cell in zip(columns, cells, strict=True):
        names.extend((column,) if cell is None else cell.names)
    return tuple(names)


def _condition_names(where: Conditions) -> tuple[str, ...]:
    if isinstance(where, Text):
        return where.names
    names: list[str] = []
    for column, test in where:
        if isinstance(test, Text):
            names.extend(test.names)
        elif test is not IS_NULL:
            names.append(column)
    return tuple(names)


@lru_cache(maxsize=4096)
def text(sql: str, names: tuple[str, ...]) -> Text:
    """Cut SQL at its placeholders, once per text.

    As in psycopg, ``%`` means nothing special in a text without parameters, and is written ``%%``
    in a text with some.

    :raises InvalidBatch: when placeholders and parameters do not agree.
    """
    if not sql.strip():
        message = "sql() needs a command"
        raise InvalidBatch(message)
    if not names and not re.search(r"%\(\w+\)s", sql):
        return Text((sql,), (), ())
    place = {name: i for i, name in enumerate(names)}
    pieces = [""]
    order: list[int] = []
    end = 0
    for found in _PERCENT.finditer(sql):
        percent, name, kind, other = found.groups()
        pieces[-1] += sql[end : found.start()]
        end = found.end()
        if percent:
            pieces[-1] += "%"
        elif name is None:
            message = f"%{other} in sql(): parameters are named, %(name)s; a percent sign is %%"
            raise InvalidBatch(message)
        elif kind != "s":
            message = f"%({name}){kind} in sql(): the only placeholder is %({name})s"
            raise InvalidBatch(message)
        elif name not in place:
            message = f"%({name})s in sql() has no value: pass {name}=…"
            raise InvalidBatch(message)
        else:
            order.append(place[name])
            pieces.append("")
    pieces[-1] += sql[end:]
    for name in place.keys() - {names[i] for i in order}:
        message = f"sql() was given {name}=… but its text has no %({name})s"
        raise InvalidBatch(message)
    return Text(tuple(pieces), tuple(order), names)
