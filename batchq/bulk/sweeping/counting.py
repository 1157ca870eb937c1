# SPDX-License-Identifier: MIT
"""How many rows there are to come, without counting them: what the planner thinks."""

from __future__ import annotations

from typing import Any

from batchq.bulk.sweeping.embed import embed
from batchq.language.batch import Batch
from batchq.language.builders import written
from batchq.language.statement import Statement


def estimated(rows: Statement[None]) -> Batch[int]:
    """Ask the planner how many rows it expects a query to find; nothing is read.

    The answer is as good as the table's statistics (PostgreSQL documentation, "EXPLAIN").
    """
    text, values = embed(rows, "row")
    if not values:
        text = text.replace("%%", "%")  # which are doubled only beside parameters
    return written(f"EXPLAIN (FORMAT JSON) {text}", **values).all(_expected).map(sum)


def _expected(row: dict[str, Any]) -> int:
    (answer,) = row.values()
    return int(answer[0]["Plan"]["Plan Rows"])
