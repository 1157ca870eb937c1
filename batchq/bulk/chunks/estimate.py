# SPDX-License-Identifier: MIT
"""How many rows there are to come, without counting them: what the planner thinks."""

from __future__ import annotations

import re
from typing import Any

from batchq.bulk.chunks.subquery import embed
from batchq.engine.client_encoding import textual
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.statement import Statement

_ROWS = re.compile(r"\(cost=[\d.]+ rows=(\d+) width=\d+\)$")
"""What a plan's line ends with, behind names that may look like it (documentation, "EXPLAIN")."""
_COCKROACHS = re.compile(r"^[\s│└├─]*estimated row count: ([\d,]+)")
"""How CockroachDB says it, in a line of its own below each operator (its documentation, "EXPLAIN").
"""


def estimated(rows: Statement[None]) -> Batch[int]:
    """Ask the planner how many rows it expects a query to find; nothing is read.

    The answer is as good as the table's statistics (PostgreSQL documentation, "EXPLAIN").
    """
    text, values = embed(rows, "row")
    if not values:
        text = text.replace("%%", "%")  # which are doubled only beside parameters
    return raw_sql(f"EXPLAIN {text}", **values).all(tuple).map(_expected)


def _expected(lines: list[tuple[Any, ...]]) -> int:
    """Read the first line that says it, which is of the whole; 0 where none does.

    As text: JSON is not read in every encoding of a client, and CockroachDB writes none.
    """
    for (line,) in lines:
        text = str(textual(line))
        if seen := _ROWS.search(text) or _COCKROACHS.search(text):
            return int(seen[1].replace(",", ""))
    return 0
