# SPDX-License-Identifier: MIT
"""Render a statement's shape as SQL text with numbered parameters.

Values are not used here, so one text serves every statement of the shape.
"""

from __future__ import annotations

from functools import partial

from batchq.engine.compile.condition_sql import column_test
from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.parameter_places import Place, names_without_cast
from batchq.engine.compile.quoting import identifier, listed, quoted
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Requirement, When
from batchq.language.syntax import (
    Conditions,
    Conflict,
    Delete,
    Expr,
    Insert,
    Nested,
    RawSql,
    Select,
    Source,
    Update,
    columns_in,
)
from batchq.language.value_places import places_in, places_in_source

_THERE = "_batchq_there"
"""The alias of an insert's table if the existing row is compared."""


def render(
    n: Numbering,
    source: Source,
    requirements: tuple[Requirement, ...],
    columns: tuple[str, ...] | None,
) -> str:
    """Return the SQL of a source, without the guards around it.

    :param n: numbers its parameters, and has those to be checked.
    :param requirements: those on the rows that the source finds become part of its WHERE.
    :param columns: the RETURNING of a built write, or the columns of a select that names none.
        Empty if no rows are wanted, None if the columns are not known.
    :raises InvalidBatch: for a select without columns.
    """
    where_of = partial(_where, n, source, requirements)
    match source:
        case RawSql():
            return _text(n, source)
        case Insert(table, names, cells, conflict):
            rows = "DEFAULT VALUES"
            if names:
                values = ", ".join(map(partial(_cell, n, table), names, cells))
                rows = f"({listed(names)}) VALUES ({values})"
            alias = f" AS {_THERE}" if _has_conflict_check(requirements) else ""
            on_conflict = _on_conflict(n, conflict, requirements)
            sql = f"INSERT INTO {quoted(table)}{alias} {rows}{on_conflict}"
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
                    f"select({table!r}) has no columns; list them, or pass a model with fields"
                )
                raise InvalidBatch(message)
            outputs = ", ".join(
                _fragment(n, c) if isinstance(c, RawSql) else identifier(c) for c in named
            )
            sql = f"SELECT {outputs or 1} FROM {quoted(table)} WHERE {where_of(table, where)}"
            sql += f" ORDER BY {listed(order)}" if order else ""
            sql += f" FOR {lock}" if lock else ""
    if columns and not isinstance(source, Select):
        sql += f" RETURNING {listed(columns)}"
    return sql


def _text(n: Numbering, text: RawSql) -> str:
    """Return a text; a name used twice is one parameter, as in psycopg, and so with statements."""
    n.has_text = True
    first, free = n.next, names_without_cast(text)
    placed: dict[int | Nested, str] = {}
    parts = [text.pieces[0]]
    for inserted, piece in zip(text.order, text.pieces[1:], strict=True):
        if inserted not in placed:
            if isinstance(inserted, Nested):
                placed[inserted] = _nested(n, inserted, first)
            else:
                kind = text.casts[inserted] if text.casts else None
                place = Place.FREE if inserted in free else Place.CAST
                place = place if kind is None else Place.BUILT_IN
                placed[inserted] = n.parameter_of(first + inserted, place, kind)
        parts += (placed[inserted], piece)
    n.next = first + len(text.names)
    return "".join(parts)


def _nested(n: Numbering, nested: Nested, first: int) -> str:
    """Return a statement inside a text.

    :param first: the index of the text's first value.
    """
    with n.nested(first + nested.first):
        if isinstance(nested.source, RawSql):
            return _fragment(n, nested.source)
        return render(n, nested.source, (), None)


def _fragment(n: Numbering, text: RawSql) -> str:
    """Return a text to put within other SQL, which a comment at its end must not hide."""
    return _text(n, text) + ("\n" if "--" in text.pieces[-1] else "")


def _where(
    n: Numbering,
    source: Source,
    requirements: tuple[Requirement, ...],
    table: str,
    where: Conditions,
) -> str:
    """Return the conditions, with the requirements on the rows that they select.

    Only CASE guarantees an order of evaluation in SQL: a row that the conditions do not select must
    not fail for a requirement on the rows that they do.
    """
    selected = conditions(n, table, where)
    arms: list[str] = []
    for index, required in enumerate(requirements):
        if required.when is When.BEFORE:
            test = requirement(n, source, requirements, index)
            fails = "IS TRUE" if required.refuses else "IS NOT TRUE"
            arms.append(f"WHEN ({test}) {fails} THEN {n.sentinel(index, required)}")
    if not arms:
        return selected
    return (
        f"({selected}) AND CASE WHEN ({selected}) IS NOT TRUE THEN false {' '.join(arms)} "
        "ELSE true END"
    )


def requirement(
    n: Numbering, source: Source, requirements: tuple[Requirement, ...], index: int
) -> str:
    """Return the test of a requirement. Its values follow those of the source and of the earlier
    requirements."""
    before = (places_in(earlier.test) for earlier in requirements[:index])
    n.next = len(places_in_source(source)) + sum(map(len, before))
    return conditions(n, source.table, requirements[index].test)


def _cell(n: Numbering, table: str, column: str, cell: Expr) -> str:
    if isinstance(cell, RawSql):
        return f"({_fragment(n, cell)})"
    return n.parameter(Place.ASSIGNED) if cell is None else n.output(table, column)


def _has_conflict_check(requirements: tuple[Requirement, ...]) -> bool:
    return any(required.when is When.CONFLICT for required in requirements)


def _on_conflict(
    n: Numbering, conflict: Conflict | None, requirements: tuple[Requirement, ...]
) -> str:
    if conflict is None:
        return ""
    predicate = conflict.predicate
    if isinstance(predicate, RawSql):
        where = f" WHERE {_fragment(n, predicate)}"
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
    """Return the DO UPDATE that compares the existing row, which is locked, and changes none.

    EXCLUDED is the row that would have been inserted. So a value is compared after conversion by
    the column's type and by triggers, as the existing one was.

    :param columns: the columns of the conflict. The SET names another one if there is any, because
        a column of a key would take a stronger lock.
    """
    arms: list[str] = []
    names: list[str] = []
    for index, required in enumerate(requirements):
        if required.when is When.CONFLICT:
            names += columns_in(required.test)
            differs = " OR ".join(
                f"{_THERE}.{name} IS DISTINCT FROM EXCLUDED.{name}"
                for name in map(identifier, columns_in(required.test))
            )
            arms.append(f"WHEN {differs} THEN {n.sentinel(index, required, f'{_THERE}.')}")
    name = identifier(next((name for name in names if name not in columns), names[0]))
    arms.append("ELSE false END")
    return f"DO UPDATE SET {name} = {_THERE}.{name} WHERE CASE {' '.join(arms)}"


def conditions(n: Numbering, table: str | None, where: Conditions) -> str:
    """Return conditions on columns as SQL.

    :param table: the table of the columns; None if it is not known, and no output is allowed.
    """
    if isinstance(where, RawSql):
        return f"({_fragment(n, where)})" if where.is_query else _fragment(n, where)
    tests: list[str] = []
    for condition in where:
        if isinstance(condition, RawSql):
            tests.append(f"({_fragment(n, condition)})")
        else:
            tests.append(column_test(n, table, *condition, partial(_fragment, n)))
    return " AND ".join(tests)
