# SPDX-License-Identifier: MIT
"""Write the command that guards are put around, and find its parts.

For nearly all statements it is what the caller has written. An update with ``unless()`` answers
with a row that it may not have changed, and one with ``change()`` with the row as it was, so these
have to find the row first:

- a SELECT locks the row, and checks it. It waits for the row's other writers, so it judges the
  newest version of the row, and so does what follows;
- the UPDATE has the same conditions, and changes the row unless it is left as it is. That is one
  value, which the server reads from the SELECT before it looks for the row. So no key is needed to
  find the row again: a second row fails the guard on their number;
- the answer of ``unless()`` is the row of the one or of the other, and all rows of it: they are
  counted. That of ``change()`` is the row of both.
"""

from __future__ import annotations

from attrs import evolve

from batchq.engine.compile.checked_rows import checked
from batchq.engine.compile.find_spans import find_spans
from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.quoting import identifier, listed, quoted
from batchq.engine.compile.render import assignments, checks, conditions, render
from batchq.engine.compile.spans import CommandSpans
from batchq.language.guards import Requirement, When
from batchq.language.results import Rows
from batchq.language.syntax import Source, Update

CHANGED = "_batchq_changed"
"""The column that shows whether the row was changed; after the others."""
_BEFORE = "_batchq_before_{}"
"""The columns that show the row as it was, by their places; after the others."""


def reported_columns(result: Rows, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a result needs after those that are wanted of the row."""
    if result is Rows.CHANGED:
        return tuple(map(_BEFORE.format, range(len(wanted))))
    return (CHANGED,) if result is Rows.UPDATED else ()


def write_command(
    n: Numbering,
    source: Source,
    requirements: tuple[Requirement, ...],
    columns: tuple[str, ...] | None,
    reported: tuple[str, ...] = (),
) -> tuple[str, CommandSpans]:
    """Return a command and its parts.

    :param columns: as in :func:`~batchq.engine.compile.render.render`.
    :param reported: what it returns as well, see :func:`reported_columns`.
    """
    if isinstance(source, Update):
        leaves = any(each.when is When.LEAVE for each in requirements)
        if leaves:
            reports = reported == (CHANGED,)
            return _leaving(n, source, requirements, listed(columns or ()), reports=reports)
        if reported:
            return _changing(n, source, requirements, columns or (), reported)
    sql = render(n, source, requirements, columns)
    return sql, find_spans(n, source, sql, columns)


def _leaving(
    n: Numbering,
    source: Update,
    requirements: tuple[Requirement, ...],
    columns: str,
    *,
    reports: bool,
) -> tuple[str, CommandSpans]:
    changed, unchanged = (f", {flag} AS {CHANGED}" if reports else "" for flag in ("true", "false"))
    shown = columns or "1"
    left = "(SELECT pg_catalog.bool_or(_batchq_left) FROM _batchq_found)"
    answer = (
        f"SELECT {shown}{changed} FROM _batchq_updated UNION ALL "
        f"SELECT {shown}{unchanged} FROM _batchq_found WHERE {left}"
    )
    return _finding(
        n,
        source,
        requirements,
        found=columns,
        applies=f"NOT {left}",
        updated=shown,
        answer=answer,
    )


def _changing(
    n: Numbering,
    source: Update,
    requirements: tuple[Requirement, ...],
    columns: tuple[str, ...],
    reported: tuple[str, ...],
) -> tuple[str, CommandSpans]:
    # The columns of the row come first, so those that only guards need are the last of them.
    pairs = zip(columns, reported, strict=False)
    before = ", ".join(f"{identifier(column)} AS {name}" for column, name in pairs)
    shown = listed(columns)
    # None if a trigger has suppressed the update; several, which fail, are as many as were found.
    answer = (
        f"SELECT {shown}, {', '.join(reported)} "
        f"FROM _batchq_found LEFT JOIN _batchq_updated ON true "
        f"WHERE EXISTS (SELECT FROM _batchq_updated) "
        f"OR (SELECT pg_catalog.count(*) > 1 FROM _batchq_found)"
    )
    is_one = "(SELECT pg_catalog.count(*) = 1 FROM _batchq_found)"
    return _finding(
        n, source, requirements, found=before, applies=is_one, updated=shown, answer=answer
    )


def _finding(
    n: Numbering,
    source: Update,
    requirements: tuple[Requirement, ...],
    *,
    found: str,
    applies: str,
    updated: str,
    answer: str,
) -> tuple[str, CommandSpans]:
    """Return a command that finds and checks the row before it updates it.

    :param found: what is read of the row before; whether the row is left is read as well.
    :param applies: the condition, on what was found, under which the row is updated.
    :param updated: what is read of the row afterwards.
    :param answer: the SELECT of both.
    """
    table = quoted(source.table)
    sets = assignments(n, source.table, source.columns, source.cells)
    selected = conditions(n, source.table, source.where)
    arms, leaves = checks(n, source, requirements)
    is_left = f"{' OR '.join(leaves)} AS _batchq_left" if leaves else ""
    read = ", ".join(filter(None, (found, is_left)))
    where = checked(selected, arms)
    # What the caller has written in it is that of an UPDATE by itself.
    spans = find_spans(n, source, f"UPDATE {table} SET {sets} WHERE {where}", ())
    ctes = (
        f"WITH _batchq_found AS (SELECT {read} FROM {table} WHERE {where} FOR NO KEY UPDATE), "
        f"_batchq_updated AS (UPDATE {table} SET {sets} WHERE ({selected}) AND {applies} "
        f"RETURNING {updated})"
    )
    sql = f"{ctes} {answer}"
    return sql, evolve(spans, ctes=len(ctes), main=len(ctes) + 1, end=len(sql), returning=True)
