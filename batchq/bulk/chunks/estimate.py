# SPDX-License-Identifier: MIT
"""The planner's estimate of how many rows a query finds, without reading them."""

from __future__ import annotations

import re
from typing import Any

from batchq.engine.client_encoding import textual
from batchq.language.batch import Batch
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement

_EXPLAIN = sql_template("EXPLAIN {rows}")
_ROWS = re.compile(r"\(cost=[\d.]+ rows=(\d+) width=(\d+)\)$")
"""The end of a line of a plan; names before it may look like it (documentation, "EXPLAIN")."""
_COCKROACHDB_ROWS = re.compile(r"^[\s│└├─]*estimated row count: ([\d,]+)")
"""CockroachDB writes it in a line of its own below each operator (its documentation, "EXPLAIN")."""


def estimated(rows: Statement[None]) -> Batch[int]:
    """Estimate how many rows a query finds.

    The estimate is as good as the table's statistics (PostgreSQL documentation, "EXPLAIN").
    """
    return _EXPLAIN.fill(rows=rows).all(tuple).map(_estimate)


def sized(rows: Statement[None]) -> Batch[tuple[int, int]]:
    """Estimate how many rows a query finds, and their average width in bytes."""
    return _EXPLAIN.fill(rows=rows).all(tuple).map(_sizes)


def _estimate(lines: list[tuple[Any, ...]]) -> int:
    return _sizes(lines)[0]


def _sizes(lines: list[tuple[Any, ...]]) -> tuple[int, int]:
    """Return the first estimate, which is that of the whole plan; zeros if there is none.

    It is read from text: JSON is not decoded in every client encoding, and CockroachDB has none.
    """
    for (line,) in lines:
        text = str(textual(line))
        if match := _ROWS.search(text):
            return int(match[1]), int(match[2])
        if match := _COCKROACHDB_ROWS.search(text):
            return int(match[1].replace(",", "")), 0
    return 0, 0
