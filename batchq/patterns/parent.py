# SPDX-License-Identifier: MIT
"""Touch, lock, read and delete the row of a parent; its children are in `hierarchy`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from attrs import frozen

from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.changes import delete, update
from batchq.language.comparisons import reading_of
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.mapping import Raises, checked_raises
from batchq.language.matchers import MISSING_ROWS
from batchq.language.placement import Scheduled
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.validation import listed
from batchq.patterns.arguments import check_model, check_names, check_raises
from batchq.patterns.touch import built_touch, checked_parent, incremented, touch_key, touch_shape

T = TypeVar("T")

NOW = raw_sql("now()")
"""What a soft delete sets."""


@frozen(kw_only=True)
class ParentRow:
    """A table whose rows have child rows in other tables, without these."""

    table: str
    key: str
    """The column of the key."""
    deleted_at: str | None
    """The column that is NULL until a row is soft-deleted; None if rows are hard-deleted."""
    generation: str
    """The integer column that is incremented if a child is added."""

    def __attrs_post_init__(self) -> None:
        check_names("Parent", self, ("table", "key", "deleted_at", "generation"))

    def touch(self, key: object, *, missing: Raises) -> Batch[None]:
        """Increment the generation of a live parent, which also locks it until COMMIT.

        It runs once in a batch, however many children are added: at the first of several calls.

        :param missing: what to raise if the parent does not exist or is deleted.
        """
        check_raises("touch(missing=)", missing)
        return self._touch(key, missing)

    def _touch(self, key: object, missing: Raises) -> Scheduled[None, Any]:
        kind: type[object] = type(key)
        if reading_of(kind) is not None:  # type: ignore[arg-type]  # a class is hashable
            touch: Statement[None] = built_touch(
                self.table, self.generation, self._live(key), missing
            )
        else:  # one value, the only one beside the parent's names: the shape is known
            shape = touch_shape(self.table, self.generation, self.key, self.deleted_at)
            raises = (checked_raises(MISSING_ROWS, missing),)
            touch = Statement(shape, (key,), raises, (self.table,))
        return Scheduled(touch, touch_key(self, key))

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
        >>> from batchq.hierarchy import Parent
        >>> project = Parent(table="project", key="id", deleted_at=None, generation="version")
        >>> vpcs = project.children("vpc", by="project_id", deleted_at=None)
        >>> guards = [vpcs.forbid(7, unexpected=ValueError("not empty"))]
        >>> delete = project.delete(7, missing=LookupError("7"), guards=guards)
        >>> [step.path for step in steps(delete)]
        ['project', 'settings', 'vpc', 'settings put back', 'project']
        """
        deletion = self.delete_row(key, missing=missing, generation=generation, stale=stale)
        last = Scheduled(deletion, resets=touch_key(self, checked_parent(key)))
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
        return {self.deleted_at: NOW, self.generation: incremented(self.generation)}

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
            return delete(self.table, where={self.key: checked_parent(key)})
        return update(self.table, self.soft_delete_values(), where=self._live(key))

    def _live(self, key: object) -> dict[str, object]:
        return {self.key: checked_parent(key)} | (
            {} if self.deleted_at is None else {self.deleted_at: None}
        )


def _nothing(_: object) -> None:
    return None
