# SPDX-License-Identifier: MIT
"""The conditions that rows descend from the root of a tree, or have children of their own."""

from __future__ import annotations

from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.builders import raw_sql
from batchq.language.inputs import Condition
from batchq.language.selects import select
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement
from batchq.patterns.hierarchy import Children

_AMONG = "{by} IN ({parents})"
_OF_ROOT = "({by} = ({root})) IS TRUE"
"""In a form that no index is used for."""
_WITHOUT_CHILDREN = """\
NOT EXISTS (
    SELECT 1 FROM {table} AS batchq_child WHERE batchq_child.{by} = {parent}.{key}{live}
)"""


def of_root(path: tuple[Children, ...], root: object) -> list[Condition]:
    """Return the conditions that rows descend from the root; a hidden parent is a parent still.

    :param root: the key of the root, or a ``sql()`` fragment for it.
    """
    *ancestors, own = path
    if not ancestors:
        return [{own.by: root}]
    where = parents_of(tuple(ancestors), root)
    parents = select(ancestors[-1].table, [own.parent.key], where=where)
    return [sql_template(_AMONG, by=identifier(own.by)).fill(parents=parents)]


def parents_of(path: tuple[Children, ...], root: object) -> list[Condition]:
    """Return the conditions on the rows at the end of a path, hidden ones included."""
    conditions, own = of_root(path, root), path[-1]
    return [*conditions, own.where] if own.where else conditions


def without(children: Children) -> Statement[None]:
    """Return the condition that a row has no such children."""
    deleted_at = children.deleted_at
    live = "" if deleted_at is None else f" AND batchq_child.{identifier(deleted_at)} IS NULL"
    text = _WITHOUT_CHILDREN.format(
        table=quoted(children.table),
        by=identifier(children.by),
        parent=quoted(children.parent.table),
        key=identifier(children.parent.key),
        live=live,
    )
    return raw_sql(text)


def of_root_unindexed(by: str, root: str) -> Statement[None]:
    """Write the condition that a row is a child of the root in a form that no index is used for.

    :param root: an expression for its key.
    """
    return raw_sql(_OF_ROOT.format(by=identifier(by), root=root))
