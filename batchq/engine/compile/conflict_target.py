# SPDX-License-Identifier: MIT
"""Write the unique index by which an ON CONFLICT finds the row that exists."""

from __future__ import annotations

from collections.abc import Callable

from batchq.engine.compile.quoting import identifier
from batchq.language.syntax import Conflict, RawSql


def conflict_target(conflict: Conflict, fragment: Callable[[RawSql], str]) -> str:
    """Return the columns and expressions of the index and its predicate; empty for any index.

    :param fragment: writes a fragment of the user's.
    """
    keys = ", ".join(
        f"({fragment(key)})" if isinstance(key, RawSql) else identifier(key)
        for key in conflict.target
    )
    predicate = conflict.predicate
    if isinstance(predicate, RawSql):
        where = f" WHERE {fragment(predicate)}"
    elif predicate:
        where = " WHERE " + " AND ".join(f"{identifier(name)} {test}" for name, test in predicate)
    else:
        where = ""
    return f" ({keys}){where}" if keys else ""
