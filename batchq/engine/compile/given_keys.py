# SPDX-License-Identifier: MIT
"""Let an upsert note that its row is stored under another key than it was given.

A column's type or a BEFORE trigger may change a key, and then the row that it finds is another one.
Rows that are inserted and updated are judged as RETURNING has them; a row that would be left is
updated if the key has changed, so that it is judged too.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchq.engine.compile.quoting import identifier
from batchq.language.other_keys import NOTED
from batchq.language.syntax import Conflict


def noting_other_keys(conflict: Conflict | None, values: Mapping[str, str]) -> str:
    """Return the end of an upsert without columns to return; empty if it notes nothing.

    It continues the condition of DO UPDATE.

    :param values: SQL for the value of each column of the row to insert.
    """
    if conflict is None or not conflict.given:
        return ""
    pairs = [(identifier(column), values[column]) for column in conflict.given]
    changed = " OR ".join(f"EXCLUDED.{name} IS DISTINCT FROM {value}" for name, value in pairs)
    stored = " AND ".join(f"{name} = {value}" for name, value in pairs)
    return f" OR {changed} RETURNING CASE WHEN {stored} THEN true ELSE {NOTED} END"
