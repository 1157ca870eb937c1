# SPDX-License-Identifier: MIT
"""Read the page that a select returns: its order, where it starts, and its greatest size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.page_values import check_page_value
from batchq.language.sort_keys import CALL as ORDER_BY
from batchq.language.sort_keys import OrderBy, read_order
from batchq.language.spelling import with_article
from batchq.language.syntax import RawSql, SortKey
from batchq.language.value_places import AFTER, AFTER_NOT_NULL, LIMIT

_AFTER = "select(after=)"


@frozen(cache_hash=True)
class Page:
    """What decides the SQL of a page: everything but its values."""

    order: tuple[SortKey, ...] = ()
    after: bool = False
    limited: bool = False


EVERYTHING = Page()


def read_page(
    order_by: OrderBy | None, limit: object, after: object
) -> tuple[Page, tuple[object, ...]]:
    """Return a page and its values, in the order of the text.

    :raises InvalidBatch: for an order without columns, ``after=`` without an order or with other
        columns than its, or a limit that is not a number.
    """
    order, values = read_order(order_by)
    if after is not None:
        values = (*_row_before(order, after), *values)
    if limit is not None:
        check_page_value("select(limit=)", LIMIT, "limit", limit)
        values = (*values, limit)
    return Page(order, after is not None, limit is not None), values


def _row_before(order: tuple[SortKey, ...], after: object) -> tuple[object, ...]:
    """Return the values of the sort keys in the row before the page."""
    if not isinstance(after, Mapping):
        raise InvalidBatch(
            f"{_AFTER}: pass a mapping of the columns of order_by= to their values in the last row "
            f"of the page before, or None for the first page, not {with_article(type(after))}"
        )
    if not order:
        raise InvalidBatch(f'{_AFTER}: rows have no order; pass order_by= as well, as ["id"]')
    if any(isinstance(key.column, RawSql) for key in order):
        raise InvalidBatch(
            f"{_AFTER}: {ORDER_BY} has a sql() fragment, of which the row before has no value; "
            f"order by columns, such as a generated one"
        )
    given = cast("Mapping[object, object]", after)
    columns = [cast("str", key.column) for key in order]
    if set(given) != set[object](columns):
        names = ", ".join(map(repr, given))
        raise InvalidBatch(
            f"{_AFTER}: pass a value for each column of order_by=, and no other: it has "
            f"{', '.join(map(repr, columns))}, and after= has {names or 'none'}"
        )
    for key, column in zip(order, columns, strict=True):
        check_page_value(_AFTER, AFTER if key.nulls else AFTER_NOT_NULL, column, given[column])
    return tuple([given[column] for column in columns])
