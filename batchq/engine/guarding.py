# SPDX-License-Identifier: MIT
"""The SQL of guards. Owned here, because most natural spellings of it silently never fire.

A guard wraps the statement in a common table expression, counts its rows, and casts a sentinel to
boolean when the count is wrong, which fails the statement and so the transaction. What makes it
fire on every version, custom and generic plan alike:

- the sentinel is chosen by the count, so that no planner can fold the cast;
- the count is scanned even when the statement returns no row: alone, or as the left side of a LEFT
  JOIN. As one side of an inner join it is not, when the other side is empty.

The guard's own two parameters, the wanted number and the process's token, stand last.
"""

from __future__ import annotations

import re
import secrets

from batchq.engine.anatomy import RETURNING_VERBS, VERBS_WITH_ROWS, Anatomy
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound

TOKEN = f"batchq:{secrets.token_hex(16)}:rows:"
"""Random per process, so that no user data can forge a guard's failure. A parameter, so that the
statement's text is the same in every process."""

_ROWS = re.compile(re.escape(TOKEN) + r"(\d+)")


def rows_seen(message: str) -> int | None:
    """Read the sentinel out of an error message, in whatever language it is; None without one."""
    found = _ROWS.search(message)
    return int(found[1]) if found else None


def guarded(sql: str, anatomy: Anatomy, parameters: int, bound: Bound, *, rows: bool) -> str:
    """Wrap a statement in a guard.

    :param parameters: how many parameters the statement itself has.
    :param rows: whether its rows are wanted; otherwise the one row returned is their number.
    :raises InvalidBatch: for a command that has no rows to count.
    """
    if anatomy.verb not in VERBS_WITH_ROWS:
        message = f"{anatomy.verb} cannot be guarded: drop expect() and the result shape"
        raise InvalidBatch(message)
    ctes = sql[: anatomy.ctes] + "," if anatomy.ctes else "WITH"
    command = sql[anatomy.main : anatomy.end]
    if anatomy.verb in RETURNING_VERBS and not anatomy.returning:
        if rows:
            message = f"this {anatomy.verb} returns no rows: add RETURNING, or use count()"
            raise InvalidBatch(message)
        command += " RETURNING 1"
    check = (
        f"CASE WHEN _batchq_count.n {bound.value} ${parameters + 1}::int8 THEN true "
        f"ELSE CAST(${parameters + 2}::text || _batchq_count.n AS boolean) END"
    )
    if not rows:
        wanted = "_batchq_count.n FROM _batchq_count"
    elif bound is Bound.AT_MOST:
        # It only ever fires when there are rows, so both sides are scanned then.
        wanted = "_batchq_rows.* FROM _batchq_count JOIN _batchq_rows ON true"
    else:
        wanted = "_batchq_rows.* FROM _batchq_count LEFT JOIN _batchq_rows ON true"
    return (
        f"{ctes} _batchq_rows AS ({command}), "
        f"_batchq_count AS (SELECT count(*) AS n FROM _batchq_rows) SELECT {wanted} WHERE {check}"
    )
