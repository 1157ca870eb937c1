# SPDX-License-Identifier: MIT
"""The SQL of guards. Owned here, because most natural spellings of it silently never fire.

A guard wraps the statement in a common table expression, counts and judges its rows behind it, and
casts a sentinel to boolean when they are wrong, which fails the statement and so the transaction.
What makes it fire on every version, custom and generic plan alike:

- the sentinel is chosen by the count, so that no planner can fold the cast;
- the count is judged even when the statement returns no row: in HAVING, alone, or as the left side
  of a LEFT JOIN. As one side of an inner join it is not, when the other side is empty.

What is required of rows that a statement *finds* is no part of this: it stands in its own WHERE.
"""

from __future__ import annotations

from attrs import frozen

from batchq.engine.compile.output_sql import carry_outputs
from batchq.engine.compile.quoting import identifier
from batchq.engine.compile.scan import RETURNING_VERBS, VERBS_WITH_ROWS, CommandSpans
from batchq.engine.compile.sentinel import isolation_sentinel, row_sentinel, rows_sentinel
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound

ROWS_MARK = "\0rows"
"""Stands for the ``$n`` of the wanted number of rows until all other parameters have theirs."""
SETTING_MARK = "\0setting"
"""Stands for the ``$n`` of the setting that carries an output; the output's number follows."""

_COUNT = "pg_catalog.count(*)"


@frozen
class PostCondition:
    """What is required of every row that a statement returns."""

    requirement: int
    """Its place among the statement's requirements."""
    test: str | None
    """The condition as SQL; None where there may be no row at all."""
    found: str
    """SQL that makes the finding to report."""


@frozen
class GuardSpec:
    """What goes around a statement."""

    bound: Bound | None
    """How its rows are counted; None: they are not."""
    post_conditions: tuple[PostCondition, ...] = ()
    outputs: tuple[str, ...] = ()
    """The columns that later statements use."""
    wanted: tuple[str, ...] | None = ()
    """The columns of the rows that are wanted: empty when none are, None for all that it has."""
    probe: int | None = None
    """How many rows decide the guard, if the statement does nothing but look for them."""
    fresh: bool = False
    """Whether the steps behind it must see all that was committed before it got its locks."""


def wrap(sql: str, spans: CommandSpans, spec: GuardSpec) -> str:
    """Wrap a statement in its guards.

    Where no rows are wanted, the one row returned is their number.

    :raises InvalidBatch: for a command that has no rows to count.
    """
    if spans.verb not in VERBS_WITH_ROWS:
        message = f"{spans.verb} cannot be guarded: drop expect() and the result shape"
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
        _, right = _guard_condition(spec, _COUNT)
        return f"{ctes} SELECT {_COUNT} AS n FROM _batchq_rows HAVING {right}"
    gathered, right = _guard_condition(spec, "_batchq_count.n")
    ctes += f", _batchq_count AS (SELECT {gathered} FROM _batchq_rows)"
    if wanted == ():
        rows = "_batchq_count.n FROM _batchq_count"
    else:
        names = ["*"] if wanted is None else map(identifier, wanted)
        columns = ", ".join(f"_batchq_rows.{name}" for name in names)
        # A guard that only ever fires when there are rows may join them; any other must be judged
        # without.
        join = "JOIN" if bound in (None, Bound.AT_MOST) else "LEFT JOIN"
        rows = f"{columns} FROM _batchq_count {join} _batchq_rows ON true"
    return f"{ctes} SELECT {rows} WHERE {right}"


def _returning(verb: str, spec: GuardSpec) -> str:
    """Let a ``sql()`` text without a RETURNING return something to count, if that is enough."""
    if spec.wanted != () or spec.post_conditions or spec.outputs:
        message = f"this {verb} returns no rows: add RETURNING, or use count()"
        raise InvalidBatch(message)
    return " RETURNING 1"


def _guard_condition(spec: GuardSpec, count: str) -> tuple[str, str]:
    """Write what is gathered over the rows, and the condition that fails the statement."""
    gathered, arms = [f"{_COUNT} AS n"], list[str]()
    if spec.bound is not None:
        right = f"{count} OPERATOR(pg_catalog.{spec.bound.value}) {ROWS_MARK}::bigint"
        arms.append(f"WHEN NOT ({right}) THEN {rows_sentinel(count)}")
    for one in spec.post_conditions:
        unmet = f" FILTER (WHERE ({one.test}) IS NOT TRUE)" if one.test else ""
        gathered.append(f"pg_catalog.min({one.found}){unmet} AS r{one.requirement}")
        seen = f"_batchq_count.r{one.requirement}"
        arms.append(f"WHEN {seen} IS NOT NULL THEN {row_sentinel(one.requirement, seen)}")
    if spec.outputs:
        names = (f"{SETTING_MARK}{n}::pg_catalog.text" for n in range(len(spec.outputs)))
        gathered.append(f"pg_catalog.max({carry_outputs(spec.outputs, tuple(names))}) AS carried")
        # Never so; but what nobody looks at, a planner may leave out.
        arms.append(f"WHEN _batchq_count.carried IS NULL THEN {rows_sentinel(count)}")
    right = f"CASE {' '.join(arms)} ELSE true END"
    return ", ".join(gathered), f"{_FRESH} AND {right}" if spec.fresh else right


_LEVEL = "pg_catalog.current_setting('transaction_isolation')"
_KNOWN = " OR ".join(
    f"{_LEVEL} OPERATOR(pg_catalog.=) '{level}'"
    for level in ("read uncommitted", "read committed", "serializable")
)
_FRESH = f"CASE WHEN {_KNOWN} THEN true ELSE {isolation_sentinel(_LEVEL)} END"
"""It names no row and so is judged once, also where there is none. PostgreSQL does so before the
statement waits for any; nothing hangs on that. Levels that are not known are refused."""
