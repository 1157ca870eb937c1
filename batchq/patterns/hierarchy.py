# SPDX-License-Identifier: MIT
"""Add children to live parents only; declared once, so that no insert forgets the check.

A foreign key does not notice that a parent is soft-deleted, and does not prevent new children while
the parent is being deleted. So a batch that adds a child first increments the generation of the
live parent. That fails if the parent is deleted, and makes a concurrent delete wait or fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar, cast

from attrs import field, frozen

from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.changes import delete, update
from batchq.language.compose import gather
from batchq.language.composites import Last
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.mapping import Raises
from batchq.language.placement import Scheduled
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.templates import ErrorTemplate
from batchq.language.traversal import unmet_outputs
from batchq.language.validation import listed
from batchq.patterns.arguments import check_mapping, check_model, check_names, check_raises
from batchq.patterns.child_inserts import check_inserts
from batchq.patterns.touch import incremented, touch_key, touched

T = TypeVar("T")
R = TypeVar("R")


@frozen(kw_only=True)
class Parent:
    """A table whose rows have child rows in other tables.

    :raises InvalidBatch: if a name is not a non-empty str.

    >>> project = Parent(table="project", key="id", deleted_at="deleted_at", generation="version")
    >>> vpcs = project.children("vpc", by="project_id", deleted_at="deleted_at")
    """

    table: str
    key: str
    """The column of the key."""
    deleted_at: str | None
    """The column that is NULL until a row is soft-deleted; None if rows are hard-deleted."""
    generation: str
    """The integer column that is incremented if a child is added."""

    def __attrs_post_init__(self) -> None:
        check_names("Parent", self, ("table", "key", "deleted_at", "generation"))

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

    def touch(self, key: object, *, missing: Raises) -> Batch[None]:
        """Increment the generation of a live parent, which also locks it until COMMIT.

        It runs once in a batch, however many children are added: at the first of several calls.

        :param missing: what to raise if the parent does not exist or is deleted.
        """
        check_raises("touch(missing=)", missing)
        dedupe_key = touch_key(self, key)
        touch = touched(self.table, self.generation, self._live(key), key, missing)
        return Scheduled(touch, dedupe_key=dedupe_key)

    def lock(self, key: object, *, missing: Raises) -> Statement[None]:
        """Lock a live parent until COMMIT, so that no child is added and it is not deleted.

        This holds at each isolation level if the other transactions use :meth:`Children.add` and
        :meth:`delete`, because these change the row of the parent. If another transaction only
        locks that row, the later steps see its children under READ COMMITTED only;
        :meth:`Statement.for_update` rejects the other levels.

        Add :meth:`Statement.require` for conditions on the parent.

        :param missing: what to raise if the parent does not exist or is deleted.
        """
        check_raises("lock(missing=)", missing)
        live = select(self.table, where=self._live(key))._locked("update", fresh=False)
        return live.expect(1, missing=missing).label(self.table)

    def delete(
        self,
        key: object,
        *,
        missing: Raises,
        guards: Iterable[Statement[None]] = (),
        generation: object = None,
        stale: Raises | None = None,
    ) -> Batch[None]:
        """Delete a parent that has no children: lock it, check for children, then delete it.

        No child remains that is added by :meth:`Children.add`, or in a transaction that changes the
        row of the live parent, at any isolation level. A child added under a lock of that row
        (``FOR SHARE``, ``FOR KEY SHARE``) is prevented if this batch runs at READ COMMITTED, or if
        both transactions are SERIALIZABLE. A child with only a foreign key is prevented if the
        parent is hard-deleted.

        :param missing: what to raise if the parent does not exist or is deleted.
        :param guards: a :meth:`Children.forbid` for each table of children, or any other
            ``select(…).expect(0)``. They see every child that existed when the lock was acquired.
            If a row-level security policy would hide rows from this role, the server raises an
            error.
        :param generation: the generation that the caller has read; None for any.
        :param stale: what to raise for another generation, which :attr:`Violation.row` contains.
        :raises InvalidBatch: unless both or neither of ``generation`` and ``stale`` are given.

        >>> from batchq import steps
        >>> project = Parent(table="project", key="id", deleted_at=None, generation="version")
        >>> vpcs = project.children("vpc", by="project_id", deleted_at=None)
        >>> guards = [vpcs.forbid(7, unexpected=ValueError("not empty"))]
        >>> delete = project.delete(7, missing=LookupError("7"), guards=guards)
        >>> [step.path for step in steps(delete)]
        ['project', 'settings', 'vpc', 'settings put back', 'project']
        """
        deletion = self.delete_row(key, missing=missing, generation=generation, stale=stale)
        last = Scheduled(deletion, resets=touch_key(self, key))
        checks = listed("delete(guards=)", guards, "[CHILDREN.forbid(key, unexpected=…)]")
        checked = [with_settings(ALL_ROWS, gather(*checks))] if checks else []
        return gather(self.lock(key, missing=missing), *checked, last).map(_nothing)

    def delete_row(
        self,
        key: object,
        *,
        missing: Raises,
        generation: object = None,
        stale: Raises | None = None,
    ) -> Statement[None]:
        """Delete a live parent without a check for children.

        A soft delete sets ``deleted_at`` and increments the generation.

        :param missing: as in :meth:`delete`, like the other arguments.
        :raises InvalidBatch: unless both or neither of ``generation`` and ``stale`` are given.
        """
        check_raises("delete(missing=)", missing)
        if (generation is None) != (stale is None):
            raise InvalidBatch("delete(): pass both generation= and stale=, or neither")
        deletion = self._deletion(key).expect(1, missing=missing).label(self.table)
        if stale is not None:
            check_raises("delete(stale=)", stale)
            deletion = deletion.require({self.generation: generation}, raises=stale)
        return deletion

    def soft_delete_values(self) -> dict[str, object]:
        """Return the values, by column, that a soft delete sets.

        :raises InvalidBatch: if rows of the parent are hard-deleted.
        """
        if self.deleted_at is None:
            raise InvalidBatch(f"Parent({self.table!r}): no soft delete without deleted_at=")
        return {self.deleted_at: _NOW, self.generation: incremented(self.generation)}

    def read(self, key: object, model: type[T], *, missing: Raises) -> Statement[T]:
        """Read a live parent.

        :param model: a class with fields, as in :meth:`Statement.one`.
        :param missing: what to raise if the parent does not exist or is deleted.
        :raises InvalidBatch: if the columns of the model are unknown.
        """
        check_model(model)
        check_raises("read(missing=)", missing)
        live = select(self.table, where=self._live(key)).one(model)
        return live.expect(1, missing=missing).label(self.table)

    def _deletion(self, key: object) -> Statement[None]:
        if self.deleted_at is None:
            return delete(self.table, where={self.key: key})
        return update(self.table, self.soft_delete_values(), where=self._live(key))

    def _live(self, key: object) -> dict[str, object]:
        return {self.key: key} | ({} if self.deleted_at is None else {self.deleted_at: None})


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
            raise InvalidBatch(
                f"Children(parent={self.parent!r:.40}): pass a Parent; write Parent(…).children(…)"
            )
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
        check_inserts(self.table, {self.by: key}, self.where, children)
        parts = self.parent.touch(key, missing=missing), children
        return Last(parts, unmet_outputs(parts))

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
        return {self.by: key, **self.where, **deleted_at}


_NOW = raw_sql("now()")


def _nothing(_: object) -> None:
    return None
