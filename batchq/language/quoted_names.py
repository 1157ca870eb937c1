# SPDX-License-Identifier: MIT
"""Quote names, for the SQL text that batchq itself writes."""

from __future__ import annotations

from collections.abc import Iterable


def quoted_name(name: str) -> str:
    """Quote the name of a column, or of a table without its schema."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def record(row: str, columns: Iterable[str]) -> str:
    """Return columns of a row as one value.

    :param row: the name of the row, as it is in the text.
    """
    return f"ROW({', '.join(f'{row}.{quoted_name(column)}' for column in columns)})"
