# SPDX-License-Identifier: MIT
"""Write the command that guards are put around, and find its parts.

For nearly all statements it is what the caller has written. An update with ``unless()`` answers
with a row that it may not have changed, and one with ``change()`` or ``old()`` with the row as it
was, so these have to find the row first:

- a SELECT locks the row, and checks it. It waits for the row's other writers, so it judges the
  newest version of the row, and so does what follows;
- the UPDATE has the same conditions, and changes the row unless it is left as it is. That is one
  value, which the server reads from the SELECT before it looks for the row. So no key is needed to
  find the row again: a second row fails the guard on their number;
- the answer of ``unless()`` is the row of the one or of the other, and all rows of it: they are
  counted. With a column of the row as it was, it is the row of both.
"""

from __future__ import annotations

from typing import cast

from attrs import evolve

from batchq.engine.compile.checked_rows import checked
from batchq.engine.compile.find_spans import find_spans
from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.quoting import identifier, quoted
from batchq.engine.compile.render import assignments, checks, conditions, render
from batchq.engine.compile.returned_columns import sql_names
from batchq.engine.compile.spans import CommandSpans
from batchq.language.guards import Requirement, When
from batchq.language.old import Old, Returned
from batchq.language.results import Rows
from batchq.language.syntax import Source, Update

CHANGED = "_batchq_changed"
"""The column that shows whether the row was changed; after the others."""


def reported_columns(result: Rows) -> tuple[str, ...]:
    """Return the columns that a result needs after those of the row."""
    return (CHANGED,) if result is Rows.UPDATED else ()


def write_command(
    n: Numbering,
    source: Source,
    requirements: tuple[Requirement, ...],
    columns: tuple[Returned, ...] | None,
    reported: tuple[str, ...] = (),
) -> tuple[str, CommandSpans]:
    """Return a command and its parts.

    :param columns: as in :func:`~batchq.engine.compile.render.render`, and those of the row before
        an update.
    :param reported: what it returns as well, see :func:`reported_columns`.
    """
    if isinstance(source, Update):
        leaves = any(each.when is When.LEAVE for each in requirements)
        if leaves or any(isinstance(each, Old) for each in columns or ()):
            reports = reported == (CHANGED,)
            answer = _Answer(columns or (), reports=reports, leaves=leaves)
            return _finding(n, source, requirements, answer)
    plain = cast("tuple[str, ...] | None", columns)
    sql = render(n, source, requirements, plain)
    return sql, find_spans(n, source, sql, plain)


_LEFT = "(SELECT pg_catalog.bool_or(_batchq_left) FROM _batchq_found)"
_NUMBER = "(SELECT pg_catalog.count(*) FROM _batchq_found)"


class _Answer:
    """What an update that finds its row first returns: of the row before, after, or of both."""

    def __init__(self, columns: tuple[Returned, ...], *, reports: bool, leaves: bool) -> None:
        self._names = sql_names(columns)
        self._columns = columns
        self._old = [
            f"{identifier(column.column)} AS {name}"
            for column, name in zip(columns, self._names, strict=True)
            if isinstance(column, Old)
        ]
        new = dict.fromkeys(identifier(each) for each in columns if isinstance(each, str))
        self.updated = ", ".join(new) or "1"
        """What is read of the row after the update."""
        self.found = ", ".join([*new, *self._old] if leaves else self._old)
        """What is read of the row before it."""
        self._reports = reports
        self._leaves = leaves

    @property
    def applies(self) -> str:
        """The condition, on what was found, under which the row is updated."""
        left = [f"NOT {_LEFT}"] if self._leaves else []
        one = [f"{_NUMBER} OPERATOR(pg_catalog.=) 1"] if self._old else []
        return " AND ".join([*left, *one])

    @property
    def sql(self) -> str:
        """The SELECT of what was found and updated."""
        answer = self._of_both if self._old else f"SELECT {self._shown()} FROM _batchq_updated"
        if self._leaves:
            unchanged = self._shown(changed=False)
            answer += f" UNION ALL SELECT {unchanged} FROM _batchq_found WHERE {_LEFT}"
        return answer

    @property
    def _of_both(self) -> str:
        # None if a trigger has suppressed the update; several, which fail, are as many as found.
        answered = f"EXISTS (SELECT FROM _batchq_updated) OR {_NUMBER} OPERATOR(pg_catalog.>) 1"
        if self._leaves:
            answered = f"NOT {_LEFT} AND ({answered})"
        return (
            f"SELECT {self._shown('_batchq_updated.', '_batchq_found.')} "
            f"FROM _batchq_found LEFT JOIN _batchq_updated ON true WHERE {answered}"
        )

    def _shown(self, after: str = "", before: str = "", *, changed: bool = True) -> str:
        """Return the select list.

        :param after: the prefix of the columns of the row after the update.
        :param before: that of the columns of the row before it.
        """
        shown = [
            (before if isinstance(column, Old) else after) + identifier(name)
            for column, name in zip(self._columns, self._names, strict=True)
        ] or ["1"]
        flag = [f"{'true' if changed else 'false'} AS {CHANGED}"] if self._reports else []
        return ", ".join([*shown, *flag])


def _finding(
    n: Numbering, source: Update, requirements: tuple[Requirement, ...], answer: _Answer
) -> tuple[str, CommandSpans]:
    """Return a command that finds and checks the row before it updates it."""
    table = quoted(source.table)
    sets = assignments(n, source.table, source.columns, source.cells)
    selected = conditions(n, source.table, source.where)
    arms, leaves = checks(n, source, requirements)
    is_left = f"{' OR '.join(leaves)} AS _batchq_left" if leaves else ""
    read = ", ".join(filter(None, (answer.found, is_left)))
    where = checked(selected, arms)
    # What the caller has written in it is that of an UPDATE by itself.
    spans = find_spans(n, source, f"UPDATE {table} SET {sets} WHERE {where}", ())
    ctes = (
        f"WITH _batchq_found AS (SELECT {read} FROM {table} WHERE {where} FOR NO KEY UPDATE), "
        f"_batchq_updated AS (UPDATE {table} SET {sets} WHERE ({selected}) AND {answer.applies} "
        f"RETURNING {answer.updated})"
    )
    sql = f"{ctes} {answer.sql}"
    return sql, evolve(spans, ctes=len(ctes), main=len(ctes) + 1, end=len(sql), returning=True)
