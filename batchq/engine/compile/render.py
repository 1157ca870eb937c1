# SPDX-License-Identifier: MIT
"""Render a statement's shape as SQL text with numbered parameters.

Values are not used here, so one text serves every statement of the shape.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from batchq.engine.compile.checked_rows import checked
from batchq.engine.compile.condition_sql import column_test
from batchq.engine.compile.conflict_target import conflict_target
from batchq.engine.compile.created_sql import returning
from batchq.engine.compile.given_keys import noting_other_keys
from batchq.engine.compile.join_sql import Joined, lasting_tests, rows_of
from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.page_sql import page_of, rows_after
from batchq.engine.compile.parameter_places import Place, names_without_cast
from batchq.engine.compile.quoting import identifier, listed, quoted, unqualified
from batchq.language.errors import InvalidBatch
from batchq.language.guards import FOUND, Requirement, When
from batchq.language.syntax import (
    Conditions,
    Conflict,
    Delete,
    Expr,
    Insert,
    Join,
    Nested,
    RawSql,
    Select,
    Source,
    Update,
    columns_in,
)
from batchq.language.value_places import places_in, places_in_source


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
    where_of, row = partial(_where, n, source, requirements), ""
    match source:
        case RawSql():
            return _text(n, source)
        case Insert(table, names, cells, conflict, query):
            rows, values = "DEFAULT VALUES", list(map(partial(_cell, n, table), names, cells))
            if query is not None:
                rows = f"({listed(names)}) {render(n, query, (), None)}"
            elif names:
                rows = f"({listed(names)}) VALUES ({', '.join(values)})"
            on = "" if conflict is None else _on_conflict(n, table, conflict, requirements)
            on += noting_other_keys(conflict, dict(zip(names, values, strict=False)))
            sql = f"INSERT INTO {quoted(table)} {rows}{on}"
        case Update(table, names, cells, where, None):
            sets = assignments(n, table, names, cells)
            sql = f"UPDATE {quoted(table)} SET {sets} WHERE {where_of(table, where)}"
        case Delete(table, where, None):
            sql = f"DELETE FROM {quoted(table)} WHERE {where_of(table, where)}"
        case Update() | Delete():
            sql, row = _joined(n, source, requirements)
        case Select():
            sql = _select(n, source, requirements, columns)
    if columns and not isinstance(source, Select):
        sql += f" RETURNING {returning(n, columns, row)}"
    return sql


def _joined(
    n: Numbering, source: Update | Delete, requirements: tuple[Requirement, ...]
) -> tuple[str, str]:
    """Return a statement with another table, and the prefix of its row's columns."""
    table, join = source.table, cast("Join", source.join)
    sql = f"DELETE FROM {quoted(table)} USING "
    if isinstance(source, Update):
        sets = assignments(n, table, source.columns, source.cells)
        sql = f"UPDATE {quoted(table)} SET {sets} FROM "
    ctes, other = "", join.table
    if isinstance(other, Select):
        ctes, other = rows_of(other, f"({render(n, other, (), None)})")
    else:
        other = quoted(other)
    joined = Joined(table, f"{other} AS source", join.on)
    with n.columns_of(joined.row):
        tests = _tests(n, table, source.where)
        selected = " AND ".join([joined.pairs, *tests])
        lasting = " AND ".join([joined.pairs, *lasting_tests(tests, source.where)])
        once = f"WHEN {joined.matches_twice(selected, lasting)} THEN "
        arms = [once + n.sentinel(0, requirements[0], n.row), *checks(n, source, requirements)[0]]
    return f"{ctes}{sql}{joined.other} WHERE {checked(selected, arms)}", joined.row


def _select(
    n: Numbering,
    source: Select,
    requirements: tuple[Requirement, ...],
    columns: tuple[str, ...] | None,
) -> str:
    named = columns if source.columns is None else source.columns
    if named is None:
        raise InvalidBatch(
            f"select({source.table!r}) has no columns; list them, or pass a model with fields"
        )
    outputs = ", ".join(_fragment(n, c) if isinstance(c, RawSql) else identifier(c) for c in named)
    where = _where(n, source, requirements, source.table, source.where)
    sql = f"SELECT {outputs or 1} FROM {quoted(source.table)}" + (
        f" WHERE {where}" if where else ""
    )
    sql += page_of(n, source, partial(_fragment, n))
    return f"{sql} FOR {source.lock}" if source.lock else sql


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
    """Return the conditions, with the requirements on the rows that they select; empty if none."""
    selected = conditions(n, table, where)
    if isinstance(source, Select) and source.after:
        after = rows_after(n, source)
        selected = f"({selected}) AND {after}" if selected else after
    following = n.next
    arms, _ = checks(n, source, requirements)
    n.next = following
    return checked(selected, arms)


def checks(
    n: Numbering, source: Source, requirements: tuple[Requirement, ...]
) -> tuple[list[str], list[str]]:
    """Return the checks of a row that is found, in order, and when it is left as it is.

    Such a row is not checked further.
    """
    arms: list[str] = []
    leaves: list[str] = []
    for index, required in enumerate(requirements):
        if required.when not in FOUND:
            continue
        test = f"({requirement(n, source, requirements, index)})"
        if required.when is When.LEAVE:
            leaves.append(f"{test} IS TRUE")
            arms.append(f"WHEN {test} IS TRUE THEN true")
        else:
            fails = "IS TRUE" if required.refuses else "IS NOT TRUE"
            arms.append(f"WHEN {test} {fails} THEN {n.sentinel(index, required, n.row)}")
    return arms, leaves


def requirement(
    n: Numbering, source: Source, requirements: tuple[Requirement, ...], index: int
) -> str:
    """Return the test of a requirement. Its values follow those of the source and of the earlier
    requirements."""
    before = (places_in(earlier.test) for earlier in requirements[:index])
    n.next = len(places_in_source(source)) + sum(map(len, before))
    return conditions(n, source.table, requirements[index].test)


def assignments(n: Numbering, table: str, columns: tuple[str, ...], cells: tuple[Expr, ...]) -> str:
    """Return what an update sets."""
    pairs = zip(columns, cells, strict=True)
    return ", ".join(f"{identifier(c)} = {_cell(n, table, c, cell)}" for c, cell in pairs)


def _cell(n: Numbering, table: str, column: str, cell: Expr) -> str:
    if isinstance(cell, RawSql):
        return f"({_fragment(n, cell)})"
    return n.parameter(Place.ASSIGNED) if cell is None else n.output(table, column)


def _on_conflict(
    n: Numbering, table: str, conflict: Conflict, requirements: tuple[Requirement, ...]
) -> str:
    """Return the ON CONFLICT of an insert.

    EXCLUDED is the row that would have been inserted, after conversion by the columns' types and by
    triggers, as the existing one was.
    """
    target = conflict_target(conflict, partial(_fragment, n))
    checks = [(i, each) for i, each in enumerate(requirements) if each.when is When.CONFLICT]
    if not conflict.updates and not checks:
        return f" ON CONFLICT{target} DO NOTHING"
    row = f"{identifier(unqualified(table))}."
    return f" ON CONFLICT{target} DO UPDATE SET {_updating(n, table, conflict, checks, row)}"


def _updating(
    n: Numbering,
    table: str,
    conflict: Conflict,
    checks: list[tuple[int, Requirement]],
    row: str,
) -> str:
    """Return what DO UPDATE sets, and when.

    A check of the existing row alone needs an update as well, which locks it and changes nothing.

    :param checks: the checks of the existing row, each with its index among the requirements.
    :param row: the prefix of the existing row's columns.
    """
    copied = conflict.copied
    if not conflict.updates:
        # A column of a key would take a stronger lock.
        names = [name for _, check in checks for name in columns_in(check.test)]
        copied = (next((name for name in names if name not in conflict.target), names[0]),)
    sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in map(identifier, copied))
    sets = sets or assignments(n, table, conflict.columns, conflict.cells)
    arms: list[str] = []
    for index, check in checks:
        fails = " OR ".join(
            f"{row}{name} IS DISTINCT FROM EXCLUDED.{name}"
            for name in map(identifier, columns_in(check.test))
        )
        if isinstance(check.test, RawSql):  # a text of batchq's own, without a parameter
            fails = _fragment(n, check.test)
        arms.append(f"WHEN {fails} THEN {n.sentinel(index, check, row)}")
    where = "" if conflict.updates else "false"
    if conflict.where:
        with n.columns_of(row):
            where = conditions(n, table, conflict.where)
    if arms:
        where = f"CASE {' '.join(arms)} ELSE {where or 'true'} END"
    return f"{sets} WHERE {where}" if where else sets


def conditions(n: Numbering, table: str | None, where: Conditions) -> str:
    """Return conditions on columns as SQL.

    :param table: the table of the columns; None if it is not known, and no output is allowed.
    """
    if isinstance(where, RawSql):
        return f"({_fragment(n, where)})" if where.is_query else _fragment(n, where)
    return " AND ".join(_tests(n, table, where))


def _tests(n: Numbering, table: str | None, where: Conditions) -> list[str]:
    """Return each of the conditions as SQL."""
    tests: list[str] = []
    for condition in (where,) if isinstance(where, RawSql) else where:
        if isinstance(condition, RawSql):
            tests.append(f"({_fragment(n, condition)})")
        else:
            tests.append(column_test(n, table, *condition, partial(_fragment, n)))
    return tests
