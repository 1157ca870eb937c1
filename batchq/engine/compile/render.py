# SPDX-License-Identifier: MIT
"""From a statement's shape to SQL text with ``$1``, ``$2``, … Nothing here looks at a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from batchq.engine.compile import output_sql
from batchq.engine.compile.parameter_places import Place, names_without_cast, type_check
from batchq.engine.compile.quoting import identifier, listed, quoted
from batchq.engine.compile.sentinel import SENTINEL_MARK, finding, row_sentinel
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Requirement, When
from batchq.language.syntax import (
    EQUALS_ANY,
    EQUALS_ANY_OR_NULL,
    EQUALS_OUTPUT,
    IS_NULL,
    WHOLE,
    Conditions,
    Conflict,
    Delete,
    Expr,
    Insert,
    RawSql,
    Select,
    Source,
    Update,
    columns_in,
    condition_names,
    parameter_names,
)

_ONE = RawSql(("1",), (), ())
_THERE = "_batchq_there"
"""What the table of an insert is called where the row that is there is judged."""


class Numbering:
    """Hands out parameters in the order of the text and remembers which value stands there.

    Each is a mark and a number until the text has been read: what batchq writes around an output is
    nothing of the user's.
    """

    def __init__(
        self, mark: str, *, binary: bool = True, checked: frozenset[int] = frozenset()
    ) -> None:
        self._mark = mark
        self._binary = binary
        self._checked = checked
        self.order: list[int] = []
        self.places: list[Place] = []
        self._taken = 0
        self._outputs: dict[int, Callable[[str], str]] = {}

    def one(self, place: Place) -> str:
        """Place the next value."""
        self.order.append(self._taken)
        self.places.append(place)
        self._taken += 1
        return f"{self._mark}{len(self.order)}"

    def compare(self, table: str | None, column: str, place: Place) -> tuple[str, str]:
        """Compare a column with the next value, or with one of the next values.

        :return: what checks the column's type, where that is wanted, to stand before all that hangs
            on the comparison; and the comparison.
        """
        number = self.one(place if table is not None else Place.FREE)
        value = f"ANY({number})" if place is Place.LISTED else number
        test = f"{identifier(column)} = {value}"
        if table is None or len(self.order) - 1 not in self._checked:
            return "", test
        return f"(false AND {test} OR {type_check(table, column, number, place)}) AND ", test

    def skip_to(self, value: int) -> None:
        """Go on with another value: those between stand elsewhere in the text."""
        self._taken = value

    def fragment(self, text: RawSql) -> str:
        """Place a text within other SQL, which a comment at its end must not swallow."""
        return self.text(text) + ("\n" if "--" in text.pieces[-1] else "")

    def text(self, text: RawSql) -> str:
        """Place a text's values; a name used twice is one parameter, as in psycopg."""
        placed: dict[int, str] = {}
        parts = [text.pieces[0]]
        free = names_without_cast(text)
        for name, piece in zip(text.order, text.pieces[1:], strict=True):
            if name not in placed:
                self.order.append(self._taken + name)
                placed[name] = f"{self._mark}{len(self.order)}"
                kind = text.casts[name] if text.casts else None
                place = Place.FREE if name in free else Place.CAST
                self.places.append(place if kind is None else Place.BUILT_IN)
                if kind is not None:
                    self._outputs[len(self.order)] = partial(output_sql.typed, kind=kind)
            parts += (placed[name], piece)
        self._taken += len(text.names)
        return "".join(parts)

    def output(self, table: str, column: str) -> str:
        """Place another statement's output, with the type that a column has."""
        place = self.one(Place.BUILT_IN)
        of_column = partial(output_sql.of_column, table=table, column=column)
        self._outputs[len(self.order)] = of_column
        return place

    def unmet(self, index: int, requirement: Requirement, row: str = "") -> str:
        """Write what fails the statement when a row does not meet a requirement."""
        return row_sentinel(index, self.finding(requirement, row), token=f"{self._mark}0")

    def finding(self, requirement: Requirement, row: str = "") -> str:
        """Write what a requirement reports of a row; of two rows, with what stands before it."""
        return finding(requirement.columns, row, binary=self._binary)

    def written(self, sql: str) -> str:
        """Write ``$1``, ``$2``, … for the marks of a text, and read the outputs among them."""

        def write(found: re.Match[str]) -> str:
            number = int(found[1])
            if not number:
                return SENTINEL_MARK
            output = self._outputs.get(number)
            return f"${number}" if output is None else output(f"${number}")

        return re.sub(rf"{self._mark}(\d+)", write, sql)


def render(
    n: Numbering,
    source: Source,
    requirements: tuple[Requirement, ...],
    columns: tuple[str, ...] | None,
) -> str:
    """Write the SQL of a source, without the guards that go around it.

    :param n: numbers its parameters, and knows which of them are checked.
    :param requirements: of which those on the rows that it finds stand in its WHERE.
    :param columns: what a built write returns; what a select without columns of its own selects.
        Empty when nobody wants rows, None when somebody does but does not say which columns.
    :raises InvalidBatch: for a select that nobody named columns for.
    """
    where_of = partial(_where, n, source, requirements)
    match source:
        case RawSql():
            return n.text(source)
        case Insert(table, names, cells, conflict):
            rows = "DEFAULT VALUES"
            if names:
                values = ", ".join(map(partial(_cell, n, table), names, cells))
                rows = f"({listed(names)}) VALUES ({values})"
            called = f" AS {_THERE}" if _has_conflict_check(requirements) else ""
            passing = _on_conflict(n, conflict, requirements)
            sql = f"INSERT INTO {quoted(table)}{called} {rows}{passing}"
        case Update(table, names, cells, where):
            pairs = zip(names, cells, strict=True)
            sets = ", ".join(f"{identifier(c)} = {_cell(n, table, c, cell)}" for c, cell in pairs)
            sql = f"UPDATE {quoted(table)} SET {sets} WHERE {where_of(table, where)}"
        case Delete(table, where):
            sql = f"DELETE FROM {quoted(table)} WHERE {where_of(table, where)}"
        case Select(table, named, where, lock, order):
            if named is None:
                named = columns
            if named is None:
                message = (
                    f"select({table!r}) has no columns: list them, or name a model that has fields"
                )
                raise InvalidBatch(message)
            outputs = ", ".join(
                n.fragment(c) if isinstance(c, RawSql) else identifier(c) for c in named or (_ONE,)
            )
            sql = f"SELECT {outputs} FROM {quoted(table)} WHERE {where_of(table, where)}"
            sql += f" ORDER BY {listed(order)}" if order else ""
            sql += f" FOR {lock}" if lock else ""
    if columns and not isinstance(source, Select):
        sql += f" RETURNING {listed(columns)}"
    return sql


def _where(
    n: Numbering,
    source: Source,
    requirements: tuple[Requirement, ...],
    table: str,
    where: Conditions,
) -> str:
    """Write the conditions, and what is required of the rows that they find.

    A CASE is the only thing in SQL whose parts are tried in order: a row that the conditions do not
    find must not fail for what is required of those that they do.
    """
    found = conditions(n, table, where)
    arms: list[str] = []
    for index, one in enumerate(requirements):
        if one.when is When.BEFORE:
            test = requirement(n, source, requirements, index)
            fails = "IS TRUE" if one.refuses else "IS NOT TRUE"
            arms.append(f"WHEN ({test}) {fails} THEN {n.unmet(index, one)}")
    if not arms:
        return found
    return (
        f"({found}) AND CASE WHEN ({found}) IS NOT TRUE THEN false {' '.join(arms)} ELSE true END"
    )


def requirement(
    n: Numbering, source: Source, requirements: tuple[Requirement, ...], index: int
) -> str:
    """Write what one of the requirements says. Its values stand behind the source's and those of
    the requirements before it."""
    before = (condition_names(one.test) for one in requirements[:index])
    n.skip_to(len(parameter_names(source)) + sum(map(len, before)))
    return conditions(n, source.table, requirements[index].test)


def _cell(n: Numbering, table: str, column: str, cell: Expr) -> str:
    if isinstance(cell, RawSql):
        return f"({n.fragment(cell)})"
    return n.one(Place.ASSIGNED) if cell is None else n.output(table, column)


def _has_conflict_check(requirements: tuple[Requirement, ...]) -> bool:
    return any(one.when is When.CONFLICT for one in requirements)


def _on_conflict(
    n: Numbering, conflict: Conflict | None, requirements: tuple[Requirement, ...]
) -> str:
    if conflict is None:
        return ""
    predicate = conflict.predicate
    if isinstance(predicate, RawSql):
        where = f" WHERE {n.fragment(predicate)}"
    elif predicate:
        where = " WHERE " + " AND ".join(f"{identifier(name)} {test}" for name, test in predicate)
    else:
        where = ""
    action = (
        _compare_existing(n, requirements, conflict.columns)
        if _has_conflict_check(requirements)
        else "DO NOTHING"
    )
    return f" ON CONFLICT ({listed(conflict.columns)}){where} {action}"


def _compare_existing(
    n: Numbering, requirements: tuple[Requirement, ...], columns: tuple[str, ...]
) -> str:
    """Judge the row that is in the way, which the server locks first, and update nothing.

    EXCLUDED is the row that would have been inserted, so what a column's type and the triggers make
    of a value is compared with what they made of it before.

    :param columns: those of the conflict. Another one is named as what is updated, if there is any:
        the lock is the stronger for a column of a key.
    """
    arms: list[str] = []
    names: list[str] = []
    for index, one in enumerate(requirements):
        if one.when is When.CONFLICT:
            names += columns_in(one.test)
            differs = " OR ".join(
                f"{_THERE}.{name} IS DISTINCT FROM EXCLUDED.{name}"
                for name in map(identifier, columns_in(one.test))
            )
            arms.append(f"WHEN {differs} THEN {n.unmet(index, one, f'{_THERE}.')}")
    name = identifier(next((name for name in names if name not in columns), names[0]))
    arms.append("ELSE false END")
    return f"DO UPDATE SET {name} = {_THERE}.{name} WHERE CASE {' '.join(arms)}"


def conditions(n: Numbering, table: str | None, where: Conditions) -> str:
    """Write conditions on columns; ``table`` is whose they are, where outputs may be among them."""
    if isinstance(where, RawSql):
        return f"({n.fragment(where)})" if where.is_query else n.fragment(where)
    tests: list[str] = []
    for column, test in where:
        if column == WHOLE and isinstance(test, RawSql):
            tests.append(f"({n.fragment(test)})")
            continue
        name = identifier(column)
        if isinstance(test, RawSql):
            tests.append(f"{name} = ({n.fragment(test)})")
        elif test == IS_NULL:
            tests.append(f"{name} IS NULL")
        elif test == EQUALS_ANY:
            tests.append("".join(n.compare(table, column, Place.LISTED)))
        elif test == EQUALS_ANY_OR_NULL:
            check, one = n.compare(table, column, Place.LISTED)
            tests.append(f"{check}({one} OR {name} IS NULL)")
        elif test == EQUALS_OUTPUT:
            if table is None:
                message = f"no column says the type of that output: compare {column!r} with sql(…)"
                raise InvalidBatch(message)
            # NULL finds NULL, as a None does. The server can look for either by an index.
            output = n.output(table, column)
            tests.append(f"({name} = {output} OR ({name} IS NULL AND {output} IS NULL))")
        else:
            tests.append("".join(n.compare(table, column, Place.COMPARED)))
    return " AND ".join(tests)
