# SPDX-License-Identifier: MIT
"""Define the syntax tree of statements, from which SQL is generated once and then reused.

A source contains what determines the SQL text and nothing else, so equal sources have equal text.
The values are kept separately, in the order of the source's parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import ClassVar, Final

from attrs import field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.special import Special


class Expression(Special):
    """SQL that a user may pass in the place of a value. Only a bare ``sql()`` is one expression."""

    __slots__ = ()

    def _as_expression(
        self, call: str, *, column: bool = False
    ) -> tuple[RawSql, tuple[object, ...]]:
        """Return the SQL and the values of its parameters.

        :param call: the call that it was passed to, for the text of the error: ``"insert()"``.
        :param column: True for a column of a select, which may have an alias.
        :raises InvalidBatch: if it is more than one expression, as most batches are.
        """
        del column
        raise InvalidBatch(
            f"{call}: a statement or batch cannot be used as a value; use a sql() fragment of one "
            f"expression, or an .output() of the statement"
        )


@frozen
class Nested:
    """Another statement inside an SQL text."""

    source: Source
    first: int
    """The index of its first value among those of the text."""


@frozen(eq=False)
class RawSql:
    """SQL text of a user or a template, split where something else is put in.

    ``order[i]`` is between ``pieces[i]`` and the next piece: a parameter, as an index into
    ``names``, or another statement.
    """

    pieces: tuple[str, ...]
    order: tuple[int | Nested, ...]
    names: tuple[str, ...]
    """A name for each value; those of nested statements are the last."""
    casts: tuple[str | None, ...] = ()
    """For each name, the SQL type of the output passed for it, or None for a value. Empty without
    outputs; the values of nested statements are not in it."""
    no_value: str | None = None
    """Why it is not one expression; None if it is."""
    is_query: bool = False
    """True if it is one expression only inside parentheses."""
    no_column: str | None = None
    """Why it is not one column of a select; None if it is."""
    label: str | None = None
    """Its column name in a select: :data:`STAR` for several columns, None if the server chooses
    it."""
    is_output: bool = False
    """Whether it is one output with a type of its own."""
    unsure: str | None = None
    """Why its meaning is ambiguous; None if it is not."""
    text: str = ""
    """The text before it was split."""
    nested: tuple[Source, ...] = ()
    """The statements inside the text."""
    depth: int = 1
    """How many texts deep it is, itself included."""
    source_column: str | None = None
    """The name, if it is a column of the other table of an update or delete."""

    verb: ClassVar[str] = "sql"
    table: ClassVar[None] = None


STAR = "*"
"""All columns of the table, in the place of a column name."""


CREATED = "created()"
"""In the place of a column name, among those returned: whether the row has been inserted."""


class OutputRef(Enum):
    """The expression for an output of another statement."""

    OUTPUT = "output"


OUTPUT: Final = OutputRef.OUTPUT

Expr = RawSql | OutputRef | None
"""The expression for a column: SQL text, an output of another statement, or None: a parameter."""


EQUALS = "="
"""``column = …``: one value."""
EQUALS_ANY = "= ANY"
"""``column = ANY(…)``: one list."""
EQUALS_ANY_OR_NULL = "= ANY OR NULL"
"""``column = ANY(…) OR column IS NULL``: one list."""
IS_NULL = "IS NULL"
"""``column IS NULL``: no value."""
EQUALS_OUTPUT = "= output"
"""``column = …`` with an output of another statement."""
SAME = "IS NOT DISTINCT FROM EXCLUDED"
"""``column IS NOT DISTINCT FROM EXCLUDED.column``: no value; compares with the inserted one."""

IS_NOT_NULL = "IS NOT NULL"
"""``column IS NOT NULL``: no value."""

LIKE = "LIKE"
NOT_EQUALS = "<>"
"""Every row that ``=`` does not find."""
NOT_ANY = "NOT IN"
"""Every row that ``= ANY`` does not find."""
NOT_ANY_NOR_NULL = "NOT IN, NOR NULL"
"""Every row that ``= ANY OR NULL`` does not find."""


@frozen
class Compared:
    """A test of a column by another operator than ``=``."""

    operator: str
    """One of those above, or ``<``, ``<=``, ``>``, ``>=``."""
    operand: Expr
    """What it is compared with; for a list always a parameter."""


ColumnTest = tuple[str, str | RawSql | Compared]
"""A column, with one of the tests above or a fragment that it equals."""

Conditions = tuple[ColumnTest | RawSql, ...] | RawSql
"""Tests of columns and fragments that are conditions of their own; or one fragment."""

WITHOUT_VALUE = frozenset({IS_NULL, IS_NOT_NULL, SAME})
TAKES_LIST = frozenset({EQUALS_ANY, NOT_ANY})
"""The tests whose parameter is a list."""


@frozen
class Conflict:
    """ON CONFLICT: the unique index that decides, and what is set in the existing row, if anything.

    The index is selected when the server plans, so its expressions have no parameter.
    """

    target: tuple[str | RawSql, ...]
    """The columns and expressions of the index; empty for any conflict."""
    predicate: tuple[tuple[str, str], ...] | RawSql | None
    """The predicate of a partial index: a test of each column as SQL text, or a fragment."""
    copied: tuple[str, ...] = ()
    """The columns that are set to the values of the row to insert; instead of ``columns``."""
    columns: tuple[str, ...] = ()
    cells: tuple[Expr, ...] = ()
    where: Conditions = ()
    """Conditions on the existing row; empty if it is always updated."""
    notes_left: bool = False
    """Whether they note a row that they do not hold for: see :mod:`batchq.language.left_rows`."""
    given: tuple[str, ...] = ()
    """Columns of which an upsert notes that they are stored with other values than were given."""

    @property
    def updates(self) -> bool:
        """Whether the existing row is updated."""
        return bool(self.copied or self.columns)


@frozen(eq=False)
class Insert:
    """INSERT of one row, or of the rows of a select."""

    table: str
    columns: tuple[str, ...]
    cells: tuple[Expr, ...]
    """Empty if the rows are those of a select."""
    conflict: Conflict | None = None
    query: Select | None = None
    """The select, with the same columns."""
    version: str | None = None
    """A column that is never set to None, because other rows' versions are compared with it."""

    verb: ClassVar[str] = "insert"


@frozen
class Join:
    """The other table of an update or delete, which is called ``source`` there."""

    table: str | Select
    on: tuple[tuple[str, str], ...]
    """Columns of the changed table, each with the one that it equals."""


@frozen(eq=False)
class Update:
    """UPDATE of the rows that the conditions select."""

    table: str
    columns: tuple[str, ...]
    cells: tuple[Expr, ...]
    where: Conditions
    join: Join | None = None

    verb: ClassVar[str] = "update"


@frozen(eq=False)
class Delete:
    """DELETE of the rows that the conditions select."""

    table: str
    where: Conditions
    join: Join | None = None

    verb: ClassVar[str] = "delete"


@frozen
class SortKey:
    """One column or fragment of an ORDER BY."""

    column: str | RawSql
    descending: bool
    nulls: str | None
    """``FIRST`` or ``LAST``; None if it is declared to have no NULL."""


@frozen(eq=False)
class Select:
    """SELECT of named columns; ``columns`` is None if the model determines them."""

    table: str
    columns: tuple[str | RawSql, ...] | None
    where: Conditions = field(default=())
    lock: str | None = None
    """The lock clause after FOR: ``UPDATE``, ``SHARE NOWAIT``, …; None for none."""
    order: tuple[SortKey, ...] = ()
    after: bool = False
    """Whether it starts after a row, of which there is a value for each sort key."""
    limited: bool = False
    """Whether the greatest number of rows is a value."""

    @property
    def verb(self) -> str:
        """The verb in titles."""
        return "lock" if self.lock else "select"


Source = RawSql | Insert | Update | Delete | Select


_SELECTS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL
)


def selects(source: Source) -> bool:
    """Return True if an SQL text certainly only selects; WITH may contain a write."""
    if not isinstance(source, RawSql):
        return False
    if not source.pieces[0].strip() and source.nested:
        return isinstance(source.nested[0], Select) or selects(source.nested[0])
    return _SELECTS.match(source.pieces[0]) is not None


def is_value(source: Source) -> bool:
    """Return True if an SQL text is one expression, and its meaning is not ambiguous."""
    return isinstance(source, RawSql) and source.no_value is None and source.unsure is None


def columns_in(where: Conditions) -> tuple[str, ...]:
    """Return the columns named by conditions; columns inside a fragment are unknown."""
    if isinstance(where, RawSql):
        return ()
    return tuple(name for name, _ in column_tests(where))


def column_tests(where: tuple[ColumnTest | RawSql, ...]) -> Iterator[ColumnTest]:
    """Yield the conditions on one column each."""
    for condition in where:
        if not isinstance(condition, RawSql):
            yield condition
