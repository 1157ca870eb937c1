# SPDX-License-Identifier: MIT
"""Read the ``order=`` of a declaration: the columns that a scan is ordered by."""

from __future__ import annotations

from collections.abc import Iterable

from batchq.language.errors import InvalidBatch
from batchq.language.validation import is_text, listed, repeated


def order_columns(order: str | Iterable[str]) -> tuple[str, ...]:
    """Convert the ``order`` of a declaration to a tuple of columns.

    :raises InvalidBatch: if it is empty, not a column or a list of columns, or names one twice.
    """
    names = (order,) if isinstance(order, str) else listed("order=", order, '["id"]')
    if not names:
        raise InvalidBatch(
            "order=(): a chunk starts after the last row of the chunk before, so rows need an "
            "order; name the columns of a unique index"
        )
    for name in names:
        if not is_text(name):
            raise InvalidBatch(
                f"order=[{name!r:.40}]: pass the names of columns, each a non-empty str; write "
                f'order=["id"]'
            )
    if twice := repeated(names):
        raise InvalidBatch(f"order=: {twice!r} is there twice; name it once")
    return names
