# SPDX-License-Identifier: MIT
"""Name what is known of a row that an upsert returns, beside its columns."""

from __future__ import annotations

from batchq.language.syntax import CREATED


def created() -> str:
    """Return the name of a boolean: whether an upsert has inserted its row.

    It stands in the place of a column in ``.ensure()``, ``.output()`` and ``.returning()`` of an
    insert with ``on_conflict_do_update()``.

    >>> from batchq import created, insert
    >>> seen = insert("host", {"name": "a"}).on_conflict_do_update("name", set=["name"])
    >>> seen.ensure({created(): True}, raises=ValueError("the host is known"))
    <Statement insert host: ensure("created()")>
    """
    return CREATED
