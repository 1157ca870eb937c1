# SPDX-License-Identifier: MIT
"""Read the other table of an update or delete, whose rows are joined to those that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve

from batchq.language import placeholders
from batchq.language.created import refuse_created
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Requirement, When
from batchq.language.inputs import Where, read_conditions
from batchq.language.insert_select import named_columns, refuse_select_label, whole_select
from batchq.language.quoted_names import quoted_name
from batchq.language.shape import Shape
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.language.syntax import Conditions, Join, Select
from batchq.language.validation import check_column, is_column

if TYPE_CHECKING:
    from batchq.language.syntax import RawSql

Other = str | Statement[None]
"""The other table: its name, or a select of its rows."""


def source(column: str, /) -> Statement[None]:
    """Return a column of the other table of an update or delete: a fragment.

    :param column: its name, in the table or among the columns of the select.
    :raises InvalidBatch: if it is not a non-empty str. A statement without ``from_=`` or ``using=``
        rejects the fragment: a ``sql()`` text before it is sent, any other when it is built.

    >>> from batchq import source, steps, update
    >>> on = {"id": "project_id"}
    >>> named = update("project", {"name": source("name")}, from_="renamed", on=on)
    >>> steps(named)[0].sql.partition(" WHERE ")[0]
    'UPDATE "project" SET "name" = (source."name") FROM "renamed" AS source'
    """
    refuse_created("source()", column)
    check_column("source()", column)
    return Statement(_source(column), ())


@lru_cache(maxsize=4096)
def _source(column: str) -> Shape:
    text: RawSql = placeholders.text(f"source.{quoted_name(column)}", (), ())
    return Shape(evolve(text, source_column=column))


def read_join(
    call: str, table: str, other: Other | None, on: Mapping[str, str] | None
) -> tuple[Join, tuple[object, ...]]:
    """Return the join of a statement with another table, and the values of its select.

    :param call: the call that they were passed to, for the text of the errors:
        ``"update(from_=)"``.
    :raises InvalidBatch: without the table or the columns to compare, or for another object.
    """
    if on is None or other is None:
        raise InvalidBatch(
            f"{call}: pass the other table, and on={{column of {table!r:.40}: column of the other}}"
        )
    name = call[: call.index("(")]
    if not isinstance(cast("object", on), Mapping) or not on:
        named = with_article(type(on)) if on else "an empty one, which joins all rows to all"
        raise InvalidBatch(
            f"{name}(on=): pass a mapping of columns to columns of the other table, not {named}"
        )
    columns = tuple(on.items())
    for column in (*on, *on.values()):
        refuse_created(f"{name}(on=)", column)
        check_column(f"{name}(on=)", column)
    if isinstance(cast("object", table), str) and table.rpartition(".")[2] == "source":
        raise InvalidBatch(
            f"{call}: the other table is named source, as the changed one is; write sql() with "
            f"another name"
        )
    if isinstance(other, Statement):
        refuse_select_label(call, other._labels)
        return Join(_selected(call, other._shape), columns), other._values
    if not is_column(other) or not all(other.split(".")):
        raise InvalidBatch(f"{call}: {_WANTED}, not {other!r:.40}")
    return Join(other, columns), ()


_WANTED = "pass the name of a table, or a select()"


@lru_cache(maxsize=4096)
def _selected(call: str, selected: Shape) -> Select:
    query = whole_select(call, _WANTED, selected)
    named_columns(call, query)
    if query.lock is not None:
        raise InvalidBatch(f"{call}: the select() cannot lock; lock its rows in an earlier step")
    return query


def matched(join: Join | None) -> tuple[Requirement, ...]:
    """Return the conditions of a statement: at most one row of the other table matches a row."""
    if join is None:
        return ()
    return (Requirement(When.ONCE, (), tuple([own for own, _ in join.on])),)


def read_where(
    calls: tuple[str, str],
    table: str,
    where: Where | None,
    other: Other | None,
    on: Mapping[str, str] | None,
) -> tuple[Conditions, tuple[object, ...], Join | None]:
    """Return the conditions, the values of the other table's select and of them, and the join.

    :param calls: the calls with the conditions and with the other table, for the text of errors.
    """
    if other is None and on is None:
        alone: Any = where  # which may be None, and is refused there
        conditions, compared = read_conditions(calls[0], alone)
        return conditions, compared, None
    join, joined = read_join(calls[1], table, other, on)
    if where is None:
        return (), joined, join
    conditions, compared = read_conditions(calls[0], where)
    return conditions, joined + compared, join
