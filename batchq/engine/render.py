# SPDX-License-Identifier: MIT
"""From a statement's source to SQL text with ``$1``, ``$2``, … Nothing here looks at a value."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.sources import (
    EQUALS_ANY,
    IS_NULL,
    Conditions,
    Delete,
    Insert,
    Select,
    Source,
    Text,
    Update,
)

_ONE = Text(("1",), (), ())


class Numbering:
    """Hands out ``$n`` in the order of the text and remembers which value stands there."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.order: list[int] = []
        self._taken = 0

    def one(self) -> str:
        """Place the next value."""
        self.order.append(self._taken)
        self._taken += 1
        return f"{self._mark}{len(self.order)}"

    def text(self, text: Text) -> str:
        """Place a text's values; a name used twice is one parameter, as in psycopg."""
        placed: dict[int, str] = {}
        parts = [text.pieces[0]]
        for name, piece in zip(text.order, text.pieces[1:], strict=True):
            if name not in placed:
                self.order.append(self._taken + name)
                placed[name] = f"{self._mark}{len(self.order)}"
            parts += (placed[name], piece)
        self._taken += len(text.names)
        return "".join(parts)


def render(
    source: Source, columns: tuple[str, ...] | None, mark: str = "$"
) -> tuple[str, tuple[int, ...]]:
    """Write the SQL of a source.

    :param columns: what a built write returns; what a select without columns of its own selects.
        Empty when nobody wants rows, None when somebody does but does not say which columns.
    :param mark: what each parameter's number stands behind; of one character.
    :return: the text, and for each ``$n`` the index of the value that stands there.
    :raises InvalidBatch: for a select that nobody named columns for.
    """
    n = Numbering(mark)
    match source:
        case Text():
            return n.text(source), tuple(n.order)
        case Insert(table, names, cells) if names:
            values = ", ".join(_cell(n, cell) for cell in cells)
            sql = f"INSERT INTO {quoted(table)} ({_list(names)}) VALUES ({values})"
        case Insert(table):
            sql = f"INSERT INTO {quoted(table)} DEFAULT VALUES"
        case Update(table, names, cells, where):
            pairs = zip(names, cells, strict=True)
            sets = ", ".join(f"{_identifier(name)} = {_cell(n, cell)}" for name, cell in pairs)
            sql = f"UPDATE {quoted(table)} SET {sets} WHERE {_conditions(n, where)}"
        case Delete(table, where):
            sql = f"DELETE FROM {quoted(table)} WHERE {_conditions(n, where)}"
        case Select(table, named, where):
            if named is None:
                named = columns
            if named is None:
                message = (
                    f"select({table!r}) has no columns: list them, or name a model that has fields"
                )
                raise InvalidBatch(message)
            outputs = ", ".join(
                n.text(c) if isinstance(c, Text) else _identifier(c) for c in named or (_ONE,)
            )
            sql = f"SELECT {outputs} FROM {quoted(table)} WHERE {_conditions(n, where)}"
    if columns and not isinstance(source, Select):
        sql += f" RETURNING {_list(columns)}"
    return sql, tuple(n.order)


def quoted(table: str) -> str:
    """Quote a table's name: ``schema.table`` becomes ``"schema"."table"``."""
    return ".".join(_identifier(part) for part in table.split("."))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(_identifier, names))


def _cell(n: Numbering, cell: Text | None) -> str:
    return n.one() if cell is None else f"({n.text(cell)})"


def _conditions(n: Numbering, where: Conditions) -> str:
    if isinstance(where, Text):
        return n.text(where)
    tests: list[str] = []
    for column, test in where:
        name = _identifier(column)
        if isinstance(test, Text):
            tests.append(f"{name} = ({n.text(test)})")
        elif test == IS_NULL:
            tests.append(f"{name} IS NULL")
        elif test == EQUALS_ANY:
            tests.append(f"{name} = ANY({n.one()})")
        else:
            tests.append(f"{name} = {n.one()}")
    return " AND ".join(tests)
