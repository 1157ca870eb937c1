# SPDX-License-Identifier: MIT
"""Order the rows of a select: :func:`asc` and :func:`desc`, and what ``order_by=`` takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

from attrs import frozen

from batchq.language.created import refuse_created
from batchq.language.errors import InvalidBatch
from batchq.language.special import Special
from batchq.language.spelling import with_article
from batchq.language.syntax import Expression, RawSql, SortKey
from batchq.language.validation import is_column, listed

Nulls = Literal["first", "last"]

CALL = "select(order_by=)"
_EXAMPLE = '["name", "id"]'


@frozen(eq=False, repr=False)
class Direction(Special):
    """A column or a fragment with its direction; made by :func:`asc` and :func:`desc`."""

    key: SortKey
    values: tuple[object, ...]
    """Those of the fragment."""

    def __repr__(self) -> str:
        """Return the call, without values."""
        name = self.key.column if isinstance(self.key.column, str) else "…"
        return f"<{'desc' if self.key.descending else 'asc'}({name})>"


Sortable = str | Direction | Expression
OrderBy = Sortable | Iterable[Sortable]
"""Columns, ``sql()`` fragments and directions, the most significant first; or one of them."""


def asc(
    column: str | Expression, /, *, nulls: Nulls | None = None, nullable: bool = True
) -> Direction:
    """Order by a column or a ``sql()`` fragment, the least first; as a name alone does.

    :param nulls: where rows with NULL are: ``"first"`` or ``"last"``, which is the default.
    :param nullable: False if there is no NULL in the column, as in the key of a table: the pages of
        ``after=`` are then found by an index.
    :raises InvalidBatch: for another argument, or for ``nulls`` of a column without NULL.
    """
    return _direction("asc()", column, nulls, nullable)


def desc(
    column: str | Expression, /, *, nulls: Nulls | None = None, nullable: bool = True
) -> Direction:
    """Order by a column or a ``sql()`` fragment, the greatest first.

    :param nulls: as in :func:`asc`; the default is ``"first"``, as if NULL were the greatest value.
    :param nullable: as in :func:`asc`.
    :raises InvalidBatch: as :func:`asc`.

    >>> from batchq import desc, select, steps
    >>> newest = select("job", ["id"], order_by=[desc("due", nulls="last"), "id"], limit=10)
    >>> steps(newest)[0].sql.partition(" ORDER ")[2]
    'BY "due" DESC NULLS LAST, "id" NULLS LAST LIMIT $1::pg_catalog.int8'
    """
    return _direction("desc()", column, nulls, nullable)


def _direction(call: str, column: object, nulls: object, nullable: object) -> Direction:
    if type(nullable) is not bool:
        raise InvalidBatch(f"{call[:-1]}nullable=): pass True or False, not {nullable!r:.40}")
    if nulls not in (None, "first", "last"):
        raise InvalidBatch(f'{call[:-1]}nulls=): pass "first" or "last", not {nulls!r:.40}')
    if nulls is not None and not nullable:
        raise InvalidBatch(
            f"{call}: nullable=False says that no row has NULL there; drop nulls= or nullable="
        )
    descending = call == "desc()"
    place = str(nulls or ("first" if descending else "last")).upper() if nullable else None
    expression, values = _expression(call, column)
    return Direction(SortKey(expression, descending, place), values)


def _expression(call: str, column: object) -> tuple[str | RawSql, tuple[object, ...]]:
    if isinstance(column, Expression):
        return column._as_expression(call)
    refuse_created(call, column)
    if is_column(column):
        return cast("str", column), ()
    if isinstance(column, str):
        raise InvalidBatch(
            f"{call}: pass the name of a column, a non-empty str without NUL, not {column!r:.40}"
        )
    if isinstance(column, Direction):
        raise InvalidBatch(f"{call}: it has a direction already: {column!r}; pass its column")
    raise InvalidBatch(
        f"{call}: pass the name of a column or a sql() fragment, not {with_article(type(column))}"
    )


def read_order(order_by: OrderBy | None) -> tuple[tuple[SortKey, ...], tuple[object, ...]]:
    """Return the sort keys of ``order_by=``, and the values of fragments among them.

    :raises InvalidBatch: if it is empty, or not made of columns, or orders by one twice.
    """
    if order_by is None:
        return (), ()
    if isinstance(order_by, str | Direction | Expression):
        order_by = (order_by,)
    items = listed(CALL, order_by, _EXAMPLE)
    if not items:
        raise InvalidBatch(f"{CALL}: no column; write {_EXAMPLE}, or leave order_by= out")
    keys: list[SortKey] = []
    values: list[object] = []
    for item in items:
        if not isinstance(item, Direction):
            expression, own = _expression(CALL, item)
            item = Direction(SortKey(expression, descending=False, nulls="LAST"), own)  # noqa: PLW2901
        if item.key.column in [key.column for key in keys]:
            raise InvalidBatch(
                f"{CALL}: {item.key.column!r:.40} is named twice; the first decides, drop the other"
            )
        keys.append(item.key)
        values += item.values
    return tuple(keys), tuple(values)
