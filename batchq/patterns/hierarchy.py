# SPDX-License-Identifier: MIT
"""Children of a live parent: declared once, so that no insert forgets that the parent may be gone.

A foreign key sees a row that is there, not one that is soft-deleted, and does not keep a child out
of a parent that is being deleted. Whoever adds a child therefore bumps the generation of the living
parent first: that finds a parent that is gone, and makes whoever deletes the parent wait, or fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from attrs import field, frozen

from batchq.language.batch import Batch
from batchq.language.builders import delete, raw_sql, select, update
from batchq.language.comparisons import Reading, reading_of
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.mapping import Raises
from batchq.language.models import check_named
from batchq.language.outputs import Output
from batchq.language.placement import Last, Scheduled
from batchq.language.statement import Statement
from batchq.language.syntax import Insert, RawSql, value_of
from batchq.language.templates import ErrorTemplate
from batchq.language.traversal import statements, unmet_outputs

T = TypeVar("T")


@frozen(kw_only=True)
class Parent:
    """A table whose rows have children.

    >>> project = Parent(table="project", key="id", deleted_at="deleted_at", generation="version")
    >>> vpcs = project.children("vpc", by="project_id", deleted_at="deleted_at")
    """

    table: str
    key: str
    """The column of its key."""
    deleted_at: str | None
    """The column that is NULL while a row lives; None where rows are really deleted."""
    generation: str
    """The column that counts what has changed among the children."""

    def children(
        self,
        table: str,
        *,
        by: str,
        deleted_at: str | None,
        where: Mapping[str, object] | None = None,
    ) -> Children:
        """Declare a kind of children.

        :param table: their table.
        :param by: the column that holds the parent's key.
        :param deleted_at: the column that is NULL while a child lives; None if children are really
            deleted.
        :param where: what else makes a row of that table such a child.
        """
        return Children(parent=self, table=table, by=by, deleted_at=deleted_at, where=where or {})

    def touch(self, key: object, *, missing: Raises) -> Batch[None]:
        """Bump the generation of a living parent, which locks it until COMMIT.

        Once in a batch, however many children are added: where several say it, the first runs.

        :param missing: what it means that there is none, or no longer.
        """
        generation = _bumped(self.generation)
        bumping = update(self.table, {self.generation: generation}, self._living(key))
        guarded = bumping.expect(1, missing=missing).label(self.table)
        return Scheduled(guarded, dedupe_key=touch_key(self, key))

    def lock(self, key: object, *, missing: Raises) -> Statement[None]:
        """Lock a living parent until COMMIT, against whoever adds a child and whoever deletes it.

        At every isolation level, if they do it by :meth:`Children.add` and :meth:`delete`: these
        change the parent's row. Against a writer who only locks that row, the steps behind this one
        see the newest children at READ COMMITTED only; :func:`~batchq.lock` insists on that.

        What has to hold of it besides is said by :meth:`Statement.require`.

        :param missing: what it means that there is none, or no longer.
        """
        living = select(self.table, where=self._living(key))._locked("update", fresh=False)
        return living.expect(1, missing=missing).label(self.table)

    def delete(
        self,
        key: object,
        *,
        missing: Raises,
        guards: Iterable[Statement[None]] = (),
        generation: object = None,
        stale: Raises | None = None,
    ) -> Batch[None]:
        """Delete a parent that has no children: lock it, look for children, then delete it.

        No child is left over that was added by :meth:`Children.add`, or by whoever else changes the
        row of the living parent in the same transaction, at whatever isolation levels. A writer who
        only locks that row (``FOR SHARE``, ``FOR KEY SHARE``) is kept out when this runs at READ
        COMMITTED, or when both are SERIALIZABLE; a foreign key alone, when the row is really
        deleted.

        :param missing: what it means that there is none, or no longer.
        :param guards: a :meth:`Children.forbid` for each kind of children, or any other
            :func:`~batchq.forbid`; they see every child that was there when the lock was held.
            Where row level security would hide one from this role, the server refuses the look.
        :param generation: the generation that the caller has seen, or None for any.
        :param stale: what another generation means; the error carries the one that was found.
        :raises InvalidBatch: when one of ``generation`` and ``stale`` is missing.
        """
        ending = self.delete_row(key, missing=missing, generation=generation, stale=stale)
        last = Scheduled(ending, resets=touch_key(self, key))
        looks = tuple(guards)
        seen = [with_settings(ALL_ROWS, gather(*looks))] if looks else []
        return gather(self.lock(key, missing=missing), *seen, last).map(_nothing)

    def delete_row(
        self,
        key: object,
        *,
        missing: Raises,
        generation: object = None,
        stale: Raises | None = None,
    ) -> Statement[None]:
        """End a living parent: set its tombstone and bump its generation, or really delete it.

        The arguments are those of :meth:`delete`, which looks for children first.

        :raises InvalidBatch: when one of ``generation`` and ``stale`` is missing.
        """
        if (generation is None) != (stale is None):
            message = "delete(generation=…, stale=…): one means nothing without the other"
            raise InvalidBatch(message)
        ending = self._ending(key).expect(1, missing=missing).label(self.table)
        if stale is not None:
            ending = ending.require({self.generation: generation}, raises=stale)
        return ending

    def soft_delete_values(self) -> dict[str, object]:
        """What is set when a parent ends by its tombstone.

        :raises InvalidBatch: when it has none.
        """
        if self.deleted_at is None:
            message = f"{self.table!r} has no tombstone: its rows cannot be hidden, only deleted"
            raise InvalidBatch(message)
        return {self.deleted_at: raw_sql("now()"), self.generation: _bumped(self.generation)}

    def read(self, key: object, model: type[T], *, missing: Raises) -> Statement[T]:
        """Read a living parent.

        :param model: as of :meth:`Statement.one`.
        :param missing: what it means that there is none, or no longer.
        """
        check_named("read()", model)
        reading = select(self.table, where=self._living(key)).one(model)
        return reading.expect(1, missing=missing).label(self.table)

    def _ending(self, key: object) -> Statement[None]:
        if self.deleted_at is None:
            return delete(self.table, where={self.key: key})
        return update(self.table, self.soft_delete_values(), where=self._living(key))

    def _living(self, key: object) -> dict[str, object]:
        return {self.key: key} | ({} if self.deleted_at is None else {self.deleted_at: None})


@frozen(kw_only=True)
class Children:
    """One kind of children of a parent; made by :meth:`Parent.children`."""

    parent: Parent
    table: str
    by: str
    deleted_at: str | None
    where: Mapping[str, object] = field(eq=False)

    def add(self, key: object, children: Batch[T], *, missing: Raises) -> Batch[T]:
        """Add children to a living parent: bump its generation, then insert them.

        :param key: the parent's.
        :param children: what inserts them; one statement, or a batch with others as well. An empty
            batch adds none to a parent that lives.
        :param missing: what it means that there is no such parent, or no longer.
        :raises InvalidBatch: when it inserts something else, a child of another parent, or a row
            that ``where`` of :meth:`Parent.children` says is none of these.

        >>> from batchq import insert, steps
        >>> project = Parent(table="project", key="id", deleted_at=None, generation="version")
        >>> vpcs = project.children("vpc", by="project_id", deleted_at=None)
        >>> web = insert("vpc", {"project_id": 7, "name": "web"})
        >>> [step.statement.title for step in steps(vpcs.add(7, web, missing=LookupError("7")))]
        ['update project', 'insert vpc']
        """
        self._check(key, children)
        parts = self.parent.touch(key, missing=missing), children
        return Last(parts, unmet_outputs(parts))

    def forbid(self, key: object, *, unexpected: Raises) -> Statement[None]:
        """Forbid that a living child exists; with :meth:`Parent.delete`.

        :param key: the parent's.
        :param unexpected: what such a child means, as of :meth:`Statement.expect`; the columns that
            ``format_error()`` names are read for it.
        """
        told = unexpected.columns if isinstance(unexpected, ErrorTemplate) else ()
        found = select(self.table, told or [self.by], where=self._living(key))
        return found.expect(0, unexpected=unexpected).label(self.table)

    def read(self, key: object, model: type[T]) -> Statement[list[T]]:
        """Read a parent's living children, in no order.

        :param key: the parent's.
        :param model: as of :meth:`Statement.all`.
        """
        check_named("read()", model)
        return select(self.table, where=self._living(key)).all(model).label(self.table)

    def _living(self, key: object) -> dict[str, object]:
        deleted_at = {} if self.deleted_at is None else {self.deleted_at: None}
        return {self.by: key, **self.where, **deleted_at}

    def _check(self, key: object, children: Batch[Any]) -> None:
        """Refuse what would add to another parent than the one whose generation is bumped."""
        own = [
            (statement, statement._shape.source)
            for statement in statements(children)
            if isinstance(statement._shape.source, Insert)
            and statement._shape.source.table == self.table
        ]
        if not own and any(True for _ in statements(children)):
            message = f"add() takes what inserts into {self.table!r} by insert(): nothing here does"
            raise InvalidBatch(message)
        for statement, source in own:
            if self.by not in source.columns:
                message = f"insert({self.table!r}, …) has no {self.by!r}: whose child is it?"
                raise InvalidBatch(message)
            if value_of(source, statement._values, self.by) != key:
                message = (
                    f"insert({self.table!r}, …) has another {self.by!r} than the parent that add() "
                    f"was given"
                )
                raise InvalidBatch(message)
            for column, wanted in self.where.items():
                self._check_kind(source, statement, column, wanted)

    def _check_kind(
        self, source: Insert, statement: Statement[Any], column: str, wanted: object
    ) -> None:
        """Refuse a row that is none of these children: nobody would find it when the parent goes.

        What only the server knows, an expression, passes.
        """
        value: object = None
        if column in source.columns:
            value = value_of(source, statement._values, column)
        elif wanted is not None:
            message = (
                f"insert({self.table!r}, …) has no {column!r}, by which such children are told "
                f"from others: name it in the row"
            )
            raise InvalidBatch(message)
        if isinstance(value, RawSql | Output) or isinstance(wanted, Batch | Output):
            return
        several = isinstance(wanted, list | tuple)
        if value not in cast("Sequence[object]", wanted if several else (wanted,)):
            message = (
                f"insert({self.table!r}, …) has a {column!r} by which it is none of the children "
                f"that add() was called for"
            )
            raise InvalidBatch(message)


def touch_key(parent: Parent, key: object) -> tuple[object, ...]:
    """What a batch needs once, until the parent ends: see :class:`Placed`.

    :raises InvalidBatch: for what is no key of one row.
    """
    kind: type[object] = type(key)
    if reading_of(kind) in _NO_KEYS:  # type: ignore[arg-type, operator]  # a class is hashable
        message = f"a parent has one key: not a {kind.__name__}"
        raise InvalidBatch(message)
    return "bump", parent, key


_NO_KEYS = frozenset({Reading.NULL, Reading.CHOICE, Reading.REFUSED})


@lru_cache(maxsize=256)
def _bumped(column: str) -> Statement[None]:
    name = column.replace('"', '""')
    return raw_sql(f'"{name}" + 1')


def _nothing(_: object) -> None:
    return None
