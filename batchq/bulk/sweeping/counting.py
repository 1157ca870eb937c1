# SPDX-License-Identifier: MIT
"""How many rows there are to come, without counting them: what the planner thinks."""

from __future__ import annotations

import re
from typing import Any

from batchq.bulk.sweeping.embed import embed
from batchq.engine.encoding import textual
from batchq.language.batch import Batch
from batchq.language.builders import written
from batchq.language.statement import Statement

_ROWS = re.compile(r"\(cost=[\d.]+ rows=(\d+) width=\d+\)$")
"""What a plan's line ends with, behind names that may look like it (documentation, "EXPLAIN")."""


def estimated(rows: Statement[None]) -> Batch[int]:
    """Ask the planner how many rows it expects a query to find; nothing is read.

    The answer is as good as the table's statistics (PostgreSQL documentation, "EXPLAIN").
    """
    text, values = embed(rows, "row")
    if not values:
        text = text.replace("%%", "%")  # which are doubled only beside parameters
    return written(f"EXPLAIN {text}", **values).all(tuple).map(_expected)


def _expected(lines: list[tuple[Any, ...]]) -> int:
    """Read the first line. As text: JSON is not read in every encoding of a client."""
    (line,) = lines[0]
    seen = _ROWS.search(str(textual(line)))
    return int(seen[1]) if seen else 0
