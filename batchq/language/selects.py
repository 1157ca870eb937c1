# SPDX-License-Identifier: MIT
"""Build a select: which rows of a table, in which order, and how many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, cast

from batchq.language.inputs import Where, read_conditions
from batchq.language.pages import EVERYTHING, Page, read_page
from batchq.language.parameters import Parameter
from batchq.language.shape import Shape
from batchq.language.sort_keys import OrderBy
from batchq.language.statement import Statement
from batchq.language.syntax import Conditions, Expression, RawSql, Select, columns_in
from batchq.language.table_names import check_names
from batchq.language.validation import listed

_COLUMNS = "select(columns=)"
_EVERY_ROW: Final = cast("Where", object())
"""In the place of conditions: there are none."""


def select(
    table: str,
    columns: Iterable[str | Statement[Any]] | None = None,
    *,
    where: Where = _EVERY_ROW,
    order_by: OrderBy | None = None,
    limit: int | Parameter | None = None,
    after: Mapping[str, object] | None = None,
) -> Statement[None]:
    """Select columns of the rows that ``where`` selects, or of all rows without it.

    :param columns: column names, and ``sql()`` fragments (``sql("count(*) AS n")``); default: the
        fields of the model in ``.one(Model)``, ``.maybe(Model)`` or ``.all(Model)``.
    :param where: the conditions, as in :func:`update`.
    :param order_by: columns, :func:`asc` and :func:`desc` of columns, and ``sql()`` fragments.
    :param limit: the greatest number of rows, or a parameter for it.
    :param after: the page after a row: for each column of ``order_by`` its value in that row, or a
        parameter. None is the first page. Together the columns must be a key, or rows that are
        equal in all of them may be left out: end with the primary key. A value must be exactly
        what the server has: one of a ``real``, or of an interval with years, is not as the driver
        reads it, and the page may repeat or leave out rows.
    :return: a statement whose result is None; add ``.one(Model)``, ``.scalar(int)``, … for another.
    :raises InvalidBatch: as in :func:`update`; and for an order without columns, ``after`` with
        other columns than ``order_by``, or a limit that is not a number of rows.

    >>> from typing import NamedTuple
    >>> from batchq import select, steps
    >>> class Project(NamedTuple):
    ...     id: int
    ...     name: str
    >>> steps(select("project", where={"name": ["api", "web"]}).all(Project))[0].sql
    'SELECT "id", "name" FROM "project" WHERE "name" = ANY($1)'
    >>> page = select("project", order_by=["name", "id"], limit=20, after={"name": "web", "id": 7})
    >>> page.all(Project)
    <Statement select project: all(Project)>
    """
    conditions: Conditions = ()
    compared: tuple[object, ...] = ()
    page = EVERYTHING
    if where is not _EVERY_ROW:
        conditions, compared = read_conditions("select(where=)", where)
    if order_by is not None or limit is not None or after is not None:
        page, of_page = read_page(order_by, limit, after)
        compared += of_page
    cells: list[str | RawSql] = []
    values: list[object] = []
    for column in () if columns is None else listed(_COLUMNS, columns, '["id", "name"]'):
        if isinstance(column, Expression):
            expression, own = column._as_expression(_COLUMNS, column=True)
            cells.append(expression)
            values.extend(own)
        else:
            cells.append(column)
    selected = None if columns is None else tuple(cells)
    try:
        return Statement(_select(table, selected, conditions, page), (*values, *compared))
    except TypeError:
        check_names("select()", table, cells, columns_in(conditions))
        raise


@lru_cache(maxsize=4096)
def _select(
    table: str, columns: tuple[str | RawSql, ...] | None, where: Conditions, page: Page
) -> Shape:
    check_names("select()", table, columns or (), columns_in(where))
    source = Select(table, columns, where, order=page.order, after=page.after, limited=page.limited)
    return Shape(source)
