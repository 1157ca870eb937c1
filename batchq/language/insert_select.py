# SPDX-License-Identifier: MIT
"""Insert the rows of a select: its columns have the names of those that they are inserted into."""

from __future__ import annotations

from functools import lru_cache

from batchq.language.errors import InvalidBatch
from batchq.language.fragments import refuse_label
from batchq.language.shape import Shape, answered
from batchq.language.syntax import Insert, RawSql, Select


def refuse_select_label(call: str, labels: tuple[str, ...]) -> None:
    """Reject the label of a select that is used as a table.

    :raises InvalidBatch: if there is a label.
    """
    refuse_label(call, labels, "label the statement around the select()")


@lru_cache(maxsize=4096)
def insert_select(table: str, selected: Shape) -> Shape:
    """Return the shape of an insert of the rows of a select, whose values it takes.

    :raises InvalidBatch: for another statement, or a select without a name for each column.
    """
    call = "insert()"
    query = whole_select(call, "a row must be a mapping, an object or a select()", selected)
    names = named_columns(call, query)
    if len(set(names)) < len(names):
        raise InvalidBatch(f"{call}: two columns of the select() have one name; rename one by AS")
    return Shape(Insert(table, names, (), query=query), fresh=selected.fresh)


def whole_select(call: str, wanted: str, selected: Shape) -> Select:
    """Return the source of a select that is used as a table.

    :param wanted: what may be passed to the call, for the text of the error.
    :raises InvalidBatch: for another statement, or one with a result, mappings or guards.
    """
    source = selected.source
    if not isinstance(source, Select):
        verb = "a sql() text" if isinstance(source, RawSql) else f"{source.verb}()"
        raise InvalidBatch(f"{call}: {wanted}, not {verb}; write the whole statement with sql()")
    if not selected.is_bare:
        raise InvalidBatch(
            f"{call}: the select() cannot have a result, mappings or guards; add them to the "
            f"statement around it"
        )
    return source


def named_columns(call: str, query: Select) -> tuple[str, ...]:
    """Return the names of the columns of a select.

    :raises InvalidBatch: if one has no name, or they are not listed.
    """
    names = answered(Shape(query))
    if not names:
        raise InvalidBatch(f'{call}: list the columns of the select(): select("t", ["id"], …)')
    known = [name for name in names if name is not None]
    if len(known) < len(names):
        raise InvalidBatch(
            f'{call}: a fragment of the select() has no name; write sql("… AS column")'
        )
    return tuple(known)
