# SPDX-License-Identifier: MIT
"""Check the names of tables and columns that builders are given."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from batchq.language.created import refuse_created
from batchq.language.errors import InvalidBatch
from batchq.language.syntax import RawSql


def check_names(call: str, table: object, *columns: Iterable[object]) -> None:
    """Reject a name that is not one. The cache raises a TypeError for a name without a hash."""
    if not _is_name(table):
        raise InvalidBatch(
            f'{call}: the table must be a name, such as "project" or "schema.project", not '
            f"{table!r:.40}"
        ) from None
    for name in chain.from_iterable(columns):
        refuse_created(call, name)
        if not isinstance(name, RawSql) and not _is_name(name):
            raise InvalidBatch(
                f"{call}: a column must be a non-empty str, not {name!r:.40}"
            ) from None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and all(name.split(".")) and "\0" not in name
