# SPDX-License-Identifier: MIT
"""Add children to live parents only; declared once, so that no insert forgets the check.

A foreign key does not notice that a parent is soft-deleted, and does not prevent new children while
the parent is being deleted. So a batch that adds a child first increments the generation of the
live parent. That fails if the parent is deleted, and makes a concurrent delete wait or fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from attrs import field, frozen

from batchq.language.batch import Batch
from batchq.language.combining import SECOND
from batchq.language.compose import sequence
from batchq.language.composites import Last
from batchq.language.mapping import Raises
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.templates import ErrorTemplate
from batchq.language.traversal import checked_parts
from batchq.language.validation import listed
from batchq.patterns.arguments import (
    check_mapping,
    check_model,
    check_names,
    check_raises,
    not_a_parent,
)
from batchq.patterns.child_inserts import check_inserts
from batchq.patterns.parent import ParentRow
from batchq.patterns.replacing import Replaced, replacement
from batchq.patterns.touch import checked_parent

T = TypeVar("T")
R = TypeVar("R")


@frozen(kw_only=True)
class Parent(ParentRow):
    """A table whose rows have child rows in other tables.

    :raises InvalidBatch: if a name is not a non-empty str.

    >>> project = Parent(table="project", key="id", deleted_at="deleted_at", generation="version")
    >>> vpcs = project.children("vpc", by="project_id", deleted_at="deleted_at")
    """

    def children(
        self,
        table: str,
        *,
        by: str,
        deleted_at: str | None,
        where: Mapping[str, object] | None = None,
    ) -> Children:
        """Declare a table of children.

        :param table: the table of the children.
        :param by: the column with the key of the parent.
        :param deleted_at: the column that is NULL until a child is soft-deleted; None if children
            are hard-deleted.
        :param where: values by column that distinguish these children from other rows of the table.
        """
        values: Mapping[str, object] = {} if where is None else where
        return Children(parent=self, table=table, by=by, deleted_at=deleted_at, where=values)


@frozen(kw_only=True)
class Children:
    """A table of children of a parent; created by :meth:`Parent.children`."""

    parent: Parent
    table: str
    by: str
    deleted_at: str | None
    where: Mapping[str, object] = field(eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(cast("object", self.parent), Parent):
            raise not_a_parent(self.parent)
        check_names("children", self, ("table", "by", "deleted_at"))
        check_mapping("children(where=)", self.where)

    def add(self, key: object, children: Batch[T, R], *, missing: Raises) -> Batch[T, R]:
        """Add children to a live parent: increment its generation, then insert them.

        :param key: the key of the parent; of declared inserts the same parameter:
            ``row(NewProject).silo_id``.
        :param children: the insert, or a batch that contains inserts into this table. An empty
            batch only touches the parent.
        :param missing: what to raise if the parent does not exist or is deleted.
        :return: a batch with the result of ``children``.
        :raises InvalidBatch: if it has no insert into this table, or one of a child of another
            parent, or of a row that ``where`` of :meth:`Parent.children` excludes.

        >>> from batchq import insert, steps
        >>> project = Parent(table="project", key="id", deleted_at=None, generation="version")
        >>> vpcs = project.children("vpc", by="project_id", deleted_at=None)
        >>> web = insert("vpc", {"project_id": 7, "name": "web"})
        >>> [step.statement.title for step in steps(vpcs.add(7, web, missing=LookupError("7")))]
        ['update project', 'insert vpc']
        """
        check_raises("add(missing=)", missing)
        check_inserts("add()", self.table, (self.by, key), self.where, children)
        parts = self.parent._touch(key, missing), children
        return Last(parts, checked_parts("add()", parts), SECOND)

    def replace(
        self,
        key: object,
        inserts: Iterable[Statement[None, Any]],
        *,
        by: str | Iterable[str],
        keep: Iterable[str] = (),
        missing: Raises,
    ) -> Batch[Replaced]:
        """Make these the children of a live parent, by their difference from those that it has.

        The parent is touched even if no child differs. A child whose ``by`` no insert has is
        removed; the others are inserted, or updated if they differ. A violation names the very
        insert. Two that swap a value of another unique index violate it in passing (23505).

        :param inserts: one for each child, without a result shape, with their mappings.
        :param by: the columns of a unique index, besides ``by`` of :meth:`Parent.children`. With
            ``deleted_at`` the index is one of the children that are not deleted, with ``where``
            perhaps one of these children only. Children are found by these values, so neither the
            type of a column nor a trigger may change them.
        :param keep: columns that an existing child keeps, such as its own key.
        :param missing: as in :meth:`add`.
        :raises NotReplaced: by the server, if the children that are left are not as many as the
            inserts, each with the ``by`` of one; nothing is kept. ``unmet("children")`` matches it.
            If a row-level security policy would hide one from this role, the server raises an error
            (42501).
        :raises InvalidBatch: as :meth:`add`; for two inserts with the same ``by``, or without one.

        >>> from batchq import insert, steps
        >>> vpc = Parent(table="vpc", key="id", deleted_at=None, generation="rcgen")
        >>> rules = vpc.children("rule", by="vpc_id", deleted_at=None)
        >>> new = [insert("rule", {"vpc_id": 7, "name": name}) for name in ("ssh", "web")]
        >>> whole = rules.replace(7, new, by="name", missing=LookupError("7"))
        >>> [step.statement.title for step in steps(whole)][:4]
        ['update vpc', 'delete rule', 'insert rule', 'insert rule']
        """
        check_raises("replace(missing=)", missing)
        children = listed("replace()", inserts, "[insert(…), insert(…)]")
        batch = replacement(
            self.table,
            children,
            live=self._live(key),
            of_parent=self.by,
            deleted_at=self.deleted_at,
            by=by,
            keep=keep,
        )
        if children:
            check_inserts("replace()", self.table, (self.by, key), self.where, sequence(children))
        parts = self.parent._touch(key, missing), batch
        return Last(parts, checked_parts("replace()", parts), SECOND)

    def forbid(self, key: object, *, unexpected: Raises) -> Statement[None]:
        """Return a guard that no live child exists, for :meth:`Parent.delete`.

        :param key: the key of the parent.
        :param unexpected: what to raise for a child, as in :meth:`Statement.expect`. The guard
            reads the columns named in ``format_error()``.
        """
        check_raises("forbid(unexpected=)", unexpected)
        columns = unexpected.columns if isinstance(unexpected, ErrorTemplate) else ()
        live = select(self.table, columns or [self.by], where=self._live(key))
        return live.expect(0, unexpected=unexpected).label(self.table)

    def read(self, key: object, model: type[T]) -> Statement[list[T]]:
        """Read the live children of a parent, in no particular order.

        :param key: the key of the parent.
        :param model: a class with fields, as in :meth:`Statement.all`.
        :raises InvalidBatch: if the columns of the model are unknown.
        """
        check_model(model)
        return select(self.table, where=self._live(key)).all(model).label(self.table)

    def _live(self, key: object) -> dict[str, object]:
        deleted_at = {} if self.deleted_at is None else {self.deleted_at: None}
        return {self.by: checked_parent(key), **self.where, **deleted_at}
