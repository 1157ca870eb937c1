# SPDX-License-Identifier: MIT
"""Name a column of the row as it was before an update."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from batchq.language.created import refuse_created
from batchq.language.errors import InvalidBatch
from batchq.language.syntax import Expression, RawSql
from batchq.language.validation import check_column


@frozen(repr=False)
class Old(Expression):
    """A column of the row before an update; created by :func:`old`."""

    column: str

    @property
    def name(self) -> str:
        """The name of the column in the result, by which a model takes it."""
        return f"old_{self.column}"

    def __repr__(self) -> str:
        """Return the call."""
        return f"old({self.column!r})"

    def _as_expression(
        self, call: str, *, column: bool = False
    ) -> tuple[RawSql, tuple[object, ...]]:
        del column
        raise InvalidBatch(
            f"{call}: {self} is a column that an update() returns; write it in .returning() or "
            f".output(). In set=, where= and .require() the column itself is the one before"
        )


Returned = str | Old
"""A column that a statement returns."""


def old(column: str, /) -> Old:
    """Return a column of the row as it was before an update.

    It stands in the place of a column in ``.returning()`` and ``.output()`` of an ``update()`` of
    one row, and the result has it as ``old_`` and the column's name. The row is locked first, so
    no other transaction has changed it between the two. For all columns of a model, see
    :meth:`Statement.change`.

    :param column: its name.
    :raises InvalidBatch: if it is not a non-empty str.

    >>> from typing import NamedTuple
    >>> from batchq import old, sql, update
    >>> class Bumped(NamedTuple):
    ...     id: int
    ...     old_version: int
    >>> bump = update("project", {"version": sql("version + 1")}, where={"name": "web"})
    >>> bump.returning("id", old("version")).one(Bumped)
    <Statement update project: one(Bumped), exactly 1 row>
    """
    refuse_created("old()", column)
    check_column("old()", column)
    return Old(column)


def refuse_old_keys(call: str, expected: Iterable[object]) -> None:
    """Reject a column of the row before in the place of a column of the one that is returned.

    :param call: the call that it was passed to, for the text of the error.
    :raises InvalidBatch: with the call that judges the row before.
    """
    for column in expected:
        if isinstance(column, Old):
            raise InvalidBatch(
                f"{call}: {column} is of the row before the update; write .require("
                f"{{{column.column!r}: …}}), which judges that row"
            )


def result_names(columns: tuple[Returned, ...]) -> tuple[str, ...]:
    """Return the names that returned columns have in the result."""
    return tuple([each if isinstance(each, str) else each.name for each in columns])
