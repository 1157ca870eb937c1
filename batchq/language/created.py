# SPDX-License-Identifier: MIT
"""Name what is known of a row that an upsert returns, beside its columns."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.syntax import CREATED, Expression, RawSql


class _Created(str, Expression):
    """The name of the boolean. In the place of a value it is refused, where a str would be sent."""

    __slots__ = ()

    def _as_expression(
        self, call: str, *, column: bool = False
    ) -> tuple[RawSql, tuple[object, ...]]:
        del column
        raise _misplaced(call)


_CREATED = _Created(CREATED)


def created() -> str:
    """Return the name of a boolean: whether an upsert has inserted its row.

    It stands in the place of a column in ``.ensure()``, ``.output()`` and ``.returning()`` of an
    insert with ``on_conflict_do_update()``.

    >>> from batchq import created, insert
    >>> seen = insert("host", {"name": "a"}).on_conflict_do_update("name", set=["name"])
    >>> seen.ensure({created(): True}, raises=ValueError("the host is known"))
    <Statement insert host: ensure("created()")>
    """
    return _CREATED


def refuse_created(call: str, name: object) -> None:
    """Reject ``created()`` where the server reads the name of a column.

    :param call: the call that it was passed to, for the text of the error.
    :raises InvalidBatch: with the calls that take it.
    """
    if name == CREATED:
        raise _misplaced(call)


def _misplaced(call: str) -> InvalidBatch:
    return InvalidBatch(
        f"{call}: created() is known of the row that an upsert returns; write it in "
        ".ensure(), .output() or .returning()"
    )
