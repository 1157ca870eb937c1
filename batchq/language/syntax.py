# SPDX-License-Identifier: MIT
"""What a statement does, without its values: the shape that SQL is made of once and then reused.

A source holds everything that decides the text of a statement and nothing that does not, so equal
sources are the same text. Values travel beside it, in the order in which the source takes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar, Final

from attrs import field, frozen

NO_PARAMETERS: set[type[object]] = set()
"""Types whose values are no parameters when they stand in a row. Each registers itself."""
NOT_AS_IS: set[type[object]] = {list}
"""Those, and types whose values do not become a parameter as they are: lists are copied."""


class Special:
    """A base of the types whose values are no parameters when they stand in a row."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class: a look-up by type has to be quick."""
        super().__init_subclass__(**options)
        NO_PARAMETERS.add(cls)
        NOT_AS_IS.add(cls)


class Expression(Special):
    """What a user may write in the place of a value: SQL.

    Only a bare ``sql()`` is one expression. Any other batch is rejected by :meth:`_as_expression`.
    """

    __slots__ = ()

    def _as_expression(self, *, column: bool = False) -> tuple[RawSql, tuple[object, ...]]:
        """Return the SQL and the values it takes.

        :param column: whether it is a column of a select, which may have a name.
        :raises InvalidBatch: if it is more than one expression.
        """
        raise NotImplementedError


@frozen(eq=False)
class RawSql:
    """Real SQL as a user wrote it, cut at its placeholders: ``pieces[i]`` stands before the
    parameter ``order[i]`` (an index into ``names``), the last piece after all of them."""

    pieces: tuple[str, ...]
    order: tuple[int, ...]
    names: tuple[str, ...]
    casts: tuple[str | None, ...] = ()
    """For each name the type of the output that stands there, or None for a value. Empty when there
    are no outputs."""
    no_value: str | None = None
    """Why it is not one expression; None where it is."""
    is_query: bool = False
    """Whether it is one when it stands in brackets."""
    no_column: str | None = None
    """Why it is not one column of a select; None where it is."""
    label: str | None = None
    """What a select calls it: :data:`STAR` where it is several columns, None where the server
    decides."""
    unsure: str | None = None
    """Why the server may read it in two ways."""

    verb: ClassVar[str] = "sql"
    table: ClassVar[None] = None


STAR = "*"
"""As the name of a column: all that there are."""


class OutputRef(Enum):
    """What stands in a cell for another statement's output."""

    OUTPUT = "output"


OUTPUT: Final = OutputRef.OUTPUT

Expr = RawSql | OutputRef | None
"""What stands in a column: a fragment, another statement's output, or, for None, a parameter."""


@frozen
class Conflict:
    """ON CONFLICT DO NOTHING: the columns of a unique index and, for a partial one, its predicate.

    The server finds the index by them when it plans, so no parameter may stand in the predicate:
    each test is SQL text.
    """

    columns: tuple[str, ...]
    predicate: tuple[tuple[str, str], ...] | RawSql | None


@frozen(eq=False)
class Insert:
    """INSERT of one row."""

    table: str
    columns: tuple[str, ...]
    cells: tuple[Expr, ...]
    conflict: Conflict | None = None

    verb: ClassVar[str] = "insert"


EQUALS = "="
"""``column = …``: takes one value."""
EQUALS_ANY = "= ANY"
"""``column = ANY(…)``: takes a list."""
EQUALS_ANY_OR_NULL = "= ANY OR NULL"
"""``column = ANY(…) OR column IS NULL``: takes a list."""
IS_NULL = "IS NULL"
"""``column IS NULL``: takes no value."""
EQUALS_OUTPUT = "= output"
"""``column = …`` of another statement's output."""
SAME = "IS NOT DISTINCT FROM EXCLUDED"
"""``column IS NOT DISTINCT FROM EXCLUDED.column``: takes no value but the one that is inserted."""

Conditions = tuple[tuple[str, str | RawSql], ...] | RawSql
"""Columns, each with one of the tests above or a fragment that it equals; or one fragment. Behind
:data:`WHOLE` in the place of a column stands a fragment that is a condition by itself."""

_WITHOUT_VALUE = frozenset({IS_NULL, SAME})

WHOLE = "\0"
"""No name of a column: none has a NUL in it."""


@frozen(eq=False)
class Update:
    """UPDATE of the rows that the conditions select."""

    table: str
    columns: tuple[str, ...]
    cells: tuple[Expr, ...]
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
    columns: tuple[str | RawSql, ...] | None
    where: Conditions = field(default=())
    lock: str | None = None
    """How the rows are locked: ``UPDATE``, ``SHARE NOWAIT``, and so on."""
    order: tuple[str, ...] = ()
    """The columns by which they are locked in order."""

    @property
    def verb(self) -> str:
        """What it is called."""
        return "lock" if self.lock else "select"


Source = RawSql | Insert | Update | Delete | Select


def parameter_names(source: Source) -> tuple[str, ...]:
    """A name for each of the values that the source takes, in their order; for people."""
    match source:
        case RawSql():
            return source.names
        case Insert():
            return _cell_names(source.columns, source.cells)
        case Update():
            return _cell_names(source.columns, source.cells) + condition_names(source.where)
        case Delete():
            return condition_names(source.where)
        case Select():
            columns = source.columns or ()
            inner = tuple(
                n for column in columns if isinstance(column, RawSql) for n in column.names
            )
            return inner + condition_names(source.where)


_SELECTS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL
)


def selects(source: Source) -> bool:
    """Whether a ``sql()`` text certainly does nothing but select: WITH may hold a write."""
    return isinstance(source, RawSql) and _SELECTS.match(source.pieces[0]) is not None


def _cell_names(columns: tuple[str, ...], cells: tuple[Expr, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for column, cell in zip(columns, cells, strict=True):
        names.extend(cell.names if isinstance(cell, RawSql) else (column,))
    return tuple(names)


def value_of(insert: Insert, values: tuple[object, ...], column: str) -> object:
    """The value that an insert puts into one of its columns; its fragment, where it has one."""
    place = 0
    for name, cell in zip(insert.columns, insert.cells, strict=True):
        if name == column:
            return cell if isinstance(cell, RawSql) else values[place]
        place += len(cell.names) if isinstance(cell, RawSql) else 1
    raise KeyError(column)


def condition_names(where: Conditions) -> tuple[str, ...]:
    """A name for each of the values that conditions take, in their order; for people."""
    if isinstance(where, RawSql):
        return where.names
    names: list[str] = []
    for column, test in where:
        if isinstance(test, RawSql):
            names.extend(test.names)
        elif test not in _WITHOUT_VALUE:
            names.append(column)
    return tuple(names)


def columns_in(where: Conditions) -> tuple[str, ...]:
    """The columns that conditions name; a fragment's are nobody's to know."""
    if isinstance(where, RawSql):
        return ()
    return tuple(name for name, test in where if name != WHOLE or not isinstance(test, RawSql))


def chosen(source: Source) -> tuple[str, ...]:
    """The columns that the source compares with a list."""
    return () if isinstance(source, RawSql | Insert) else chosen_by(source.where)


def chosen_by(where: Conditions) -> tuple[str, ...]:
    """The columns that conditions compare with a list."""
    if isinstance(where, RawSql):
        return ()
    return tuple(name for name, test in where if test in (EQUALS_ANY, EQUALS_ANY_OR_NULL))


def takes_outputs(source: Source) -> bool:
    """Whether another statement's output stands anywhere in it."""
    match source:
        case RawSql():
            return any(source.casts)
        case Insert():
            return _flows(source.cells)
        case Update():
            return _flows(source.cells) or tests_outputs(source.where)
        case Delete():
            return tests_outputs(source.where)
        case Select():
            return _flows(source.columns or ()) or tests_outputs(source.where)


def tests_outputs(where: Conditions) -> bool:
    """Whether conditions compare with another statement's output."""
    if isinstance(where, RawSql):
        return any(where.casts)
    tests = [test for _, test in where]
    return EQUALS_OUTPUT in tests or _flows(tests)


def _flows(cells: Iterable[Expr | str]) -> bool:
    return any(c is OUTPUT or (isinstance(c, RawSql) and any(c.casts)) for c in cells)
