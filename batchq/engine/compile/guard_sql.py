# SPDX-License-Identifier: MIT
"""Write the SQL of guards, of which most obvious spellings never fire, without an error.

A guard wraps the statement in a common table expression, and counts and checks its rows after it.
If they are wrong, it casts a sentinel to boolean, which fails the statement and so the transaction.
Two properties make it fire on every version, with custom and generic plans:

- the count selects the sentinel, so no planner can fold the cast;
- the count is checked even if the statement returns no row: in HAVING, alone, or as the left side
  of a LEFT JOIN. As one side of an inner join it is not checked if the other side is empty.

The server sets up every expression of a statement each time that it runs, also those that it never
evaluates. So each function and parameter of a guard costs time even if it does not fire.

A condition on the rows that a statement *finds* is not written here, but in its own WHERE.
"""

from __future__ import annotations

from attrs import frozen

from batchq.engine.compile.output_sql import carry_outputs
from batchq.engine.compile.quoting import identifier
from batchq.engine.compile.sentinel import isolation_sentinel, row_sentinel, rows_sentinel
from batchq.engine.compile.spans import RETURNING_VERBS, VERBS_WITH_ROWS, CommandSpans
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound
from batchq.language.left_rows import WAS_LEFT
from batchq.language.results import Rows

ROWS_MARK = "\0rows"
"""Placeholder of the ``$n`` of the expected number of rows, until all others are numbered."""
SETTING_MARK = "\0setting"
"""Placeholder of the ``$n`` of the setting for an output; the output's number follows."""

_COUNT = "pg_catalog.count(*)"


@frozen
class PostCondition:
    """A condition on every row that a statement returns."""

    requirement: int
    """Its index among the statement's requirements."""
    test: str | None
    """The condition as SQL; None if no row is allowed at all."""
    encoded_row: str
    """SQL for the text that reports the row."""


@frozen
class GuardSpec:
    """The guards around a statement."""

    bound: Bound | None
    """The comparison of the number of rows; None if they are not counted."""
    rows: int | None = None
    """The expected number if it is part of the text; None if it is a parameter."""
    counted: bool = False
    """Whether the number of rows is the result."""
    post_conditions: tuple[PostCondition, ...] = ()
    outputs: tuple[str, ...] = ()
    """The columns that later statements use."""
    wanted: tuple[str, ...] | None = ()
    """The columns to return: empty for no rows, None for all columns."""
    probe: int | None = None
    """The number of rows that decides the guard, if the statement only checks for rows."""
    or_left: bool = False
    """Whether no row is right as well, if the statement has left its row as it is."""
    fresh: bool = False
    """Whether later steps must see everything that was committed before it got its locks."""


def wrap(sql: str, spans: CommandSpans, spec: GuardSpec) -> str:
    """Return a statement wrapped in its guards.

    If no rows are wanted, it returns one row, which is their number, or no row if it is not used.

    :raises InvalidBatch: for a command that has no rows to count.
    """
    if spans.verb not in VERBS_WITH_ROWS:
        message = f"{spans.verb} has no rows to guard; drop expect() and the result shape"
        raise InvalidBatch(message)
    ctes = sql[: spans.ctes] + "," if spans.ctes else "WITH"
    command = sql[spans.main : spans.end]
    bound, wanted = spec.bound, spec.wanted
    if spans.verb in RETURNING_VERBS and not spans.returning:
        command += _returning(spans.verb, spec)
    if spec.probe is not None:
        command = f"SELECT * FROM ({command}) AS _batchq_probe LIMIT {spec.probe}"
    ctes = f"{ctes} _batchq_rows AS ({command})"
    if wanted == () and not spec.post_conditions and not spec.outputs:
        _, condition = _guard_condition(spec, _COUNT)
        shown = "1" if _is_silent(spec) else f"{_COUNT} AS n"
        return f"{ctes} SELECT {shown} FROM _batchq_rows HAVING {condition}"
    if bound is None and not spec.post_conditions and not spec.outputs:  # the lock's level alone
        return f"{ctes} SELECT {_shown(wanted)} FROM _batchq_rows WHERE {_FRESH}"
    aggregates, condition = _guard_condition(spec, "_batchq_count.n")
    ctes += f", _batchq_count AS (SELECT {aggregates} FROM _batchq_rows)"
    if wanted == ():
        rows = f"{'1' if _is_silent(spec) else '_batchq_count.n'} FROM _batchq_count"
    else:
        # A guard that fires only if there are rows may join them. Any other must be checked without
        # a row too.
        join = "JOIN" if bound in (None, Bound.AT_MOST) else "LEFT JOIN"
        rows = f"{_shown(wanted)} FROM _batchq_count {join} _batchq_rows ON true"
    return f"{ctes} SELECT {rows} WHERE {condition}"


def _shown(wanted: tuple[str, ...] | None) -> str:
    """Return the columns to return; all of them for None."""
    names = ["*"] if wanted is None else map(identifier, wanted)
    return ", ".join(f"_batchq_rows.{name}" for name in names)


def summary(sql: str, result: Rows) -> str:
    """Return a select without guards as its result needs it: counted, or asked whether it is empty.

    Its ORDER BY and LIMIT remain, so that the rows counted are those that it would return.
    """
    if result is Rows.COUNT:
        return f"SELECT {_COUNT} AS n FROM ({sql}) AS _batchq_rows"
    return f"SELECT EXISTS ({sql}) AS found" if result is Rows.EXISTS else sql


def _returning(verb: str, spec: GuardSpec) -> str:
    """Return a RETURNING of a constant, to count the rows of a ``sql()`` text that has none.

    :raises InvalidBatch: if more than the number of rows is needed.
    """
    if spec.wanted != () or spec.post_conditions or spec.outputs:
        message = f"this {verb} returns no rows; add RETURNING, or use count()"
        raise InvalidBatch(message)
    return " RETURNING 1"


def _guard_condition(spec: GuardSpec, count: str) -> tuple[str, str]:
    """Return the aggregates over the rows, and the condition that fails the statement."""
    aggregates, arms = [f"{_COUNT} AS n"], list[str]()
    if spec.bound is not None:
        expected = ROWS_MARK if spec.rows is None else spec.rows
        test = f"{count} OPERATOR(pg_catalog.{spec.bound.value}) {expected}::bigint"
        if spec.or_left:
            test += f" OR {count} OPERATOR(pg_catalog.=) 0 AND {WAS_LEFT}"
        arms.append(f"WHEN NOT ({test}) THEN {rows_sentinel(count)}")
    for check in spec.post_conditions:
        unmet = f" FILTER (WHERE ({check.test}) IS NOT TRUE)" if check.test else ""
        aggregates.append(f"pg_catalog.min({check.encoded_row}){unmet} AS r{check.requirement}")
        row = f"_batchq_count.r{check.requirement}"
        arms.append(f"WHEN {row} IS NOT NULL THEN {row_sentinel(check.requirement, row)}")
    if spec.outputs:
        names = (f"{SETTING_MARK}{n}::pg_catalog.text" for n in range(len(spec.outputs)))
        aggregates.append(f"pg_catalog.max({carry_outputs(spec.outputs, tuple(names))}) AS carried")
        # It is never NULL, but a planner may drop a column that is not used.
        arms.append(f"WHEN _batchq_count.carried IS NULL THEN {rows_sentinel(count)}")
    if not arms:
        return ", ".join(aggregates), _FRESH
    condition = f"CASE {' '.join(arms)} ELSE {'false' if _is_silent(spec) else 'true'} END"
    return ", ".join(aggregates), f"{_FRESH} AND {condition}" if spec.fresh else condition


def _is_silent(spec: GuardSpec) -> bool:
    """Return whether the statement returns no row if its guards pass: a row is work for nothing.

    A condition beside the isolation level's must not be false, or the level may not be checked.
    """
    return spec.wanted == () and not spec.counted and not spec.fresh


_LEVEL = "pg_catalog.current_setting('transaction_isolation')"
_KNOWN = " OR ".join(
    f"{_LEVEL} OPERATOR(pg_catalog.=) '{level}'"
    for level in ("read uncommitted", "read committed", "serializable")
)
_FRESH = f"CASE WHEN {_KNOWN} THEN true ELSE {isolation_sentinel(_LEVEL)} END"
"""Fails on an isolation level that is not in this list. It names no row, so it is evaluated once,
even without a row. PostgreSQL evaluates it before the statement waits for a row lock, but nothing
depends on that."""
