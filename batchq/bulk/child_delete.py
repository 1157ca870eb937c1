# SPDX-License-Identifier: MIT
"""How to delete one kind of children, and in which stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import Factory, field, frozen

from batchq.bulk.chunks.stages import Stage
from batchq.bulk.known_values import check_known
from batchq.bulk.order_columns import order_columns
from batchq.language.argument_types import is_of, of
from batchq.language.builders import raw_sql
from batchq.language.changes import update
from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article
from batchq.language.validation import listed
from batchq.patterns.hierarchy import Children


def child_deletes(children: Iterable[ChildDelete]) -> tuple[ChildDelete, ...]:
    """Convert an iterable of child deletes to a tuple.

    :raises InvalidBatch: if it is not a list, or an item is of another type.
    """
    listed_children = listed("children=", children, "[ChildDelete(relation=…)]")
    for child in listed_children:
        if not is_of(child, ChildDelete):
            raise InvalidBatch(
                f"children=: pass a list of ChildDelete, not one that contains "
                f"{with_article(type(child), unlike=(ChildDelete,))}; write "
                f"[ChildDelete(relation=…)]"
            )
    return listed_children


def _relation(relation: Children) -> Children:
    if not is_of(relation, Children):
        raise InvalidBatch(
            f"ChildDelete(relation=…): pass what Parent(…).children(…) returns, not "
            f"{with_article(type(relation), unlike=(Children,))}"
        )
    return relation


def _is_hard(child: ChildDelete) -> bool:
    return child.set is None and child.relation.deleted_at is None


@frozen(kw_only=True)
class ChildDelete:
    """How to delete one kind of children.

    >>> from batchq.hierarchy import Parent
    >>> columns = {"key": "id", "deleted_at": "deleted_at", "generation": "version"}
    >>> vpc, router = Parent(table="vpc", **columns), Parent(table="vpc_router", **columns)
    >>> routes = router.children("router_route", by="router_id", deleted_at=None)
    >>> routers = vpc.children("vpc_router", by="vpc_id", deleted_at="deleted_at")
    >>> delete = ChildDelete(relation=routers, children=[ChildDelete(relation=routes)])
    """

    relation: Children = field(converter=_relation)
    """Which rows they are: made by :meth:`Parent.children`."""
    order: tuple[str, ...] = field(default=("id",), converter=order_columns)
    """The order key: one or more columns that are unique among the children of one parent, and
    that an index has after the parent's key."""
    set: Mapping[str, object] | None = None
    """Update these columns instead of deleting: ``{"vpc_id": None}`` orphans the rows."""
    hard: bool = field(
        default=Factory(_is_hard, takes_self=True), validator=of("ChildDelete", bool, "True")
    )
    """Delete the rows, those that are soft-deleted already as well; if False, soft-delete them.
    The default is True if the table has no column for soft deletes, and False with ``set``."""
    children: tuple[ChildDelete, ...] = field(default=(), converter=child_deletes)
    """Their own children. The rows are soft-deleted before these are deleted, so their table needs
    a column for soft deletes."""

    def __attrs_post_init__(self) -> None:
        """Reject a delete that might not end, or that could not be executed."""
        if self.set is not None:
            self._check_set(self.set)
        elif not self.hard and self.relation.deleted_at is None:
            raise InvalidBatch(
                f"ChildDelete({self.table!r}, hard=False): the table has no column for soft "
                f"deletes; write hard=True, or declare the relation with deleted_at=…"
            )
        check_known(f"ChildDelete({self.table!r})", self.relation.where.values())
        self._check_children()

    def _check_set(self, values: Mapping[str, object]) -> None:
        if not is_of(values, Mapping):
            raise InvalidBatch(
                f"ChildDelete({self.table!r}, set=…): pass a mapping of columns to values, not "
                f"{type(values).__name__}; write set={{{self.relation.by!r}: None}}"
            )
        if self.hard:
            raise InvalidBatch(
                f"ChildDelete({self.table!r}, set=…, hard=True): rows are either updated or "
                f"deleted; leave out one of the two"
            )
        if self.children or self.relation.by not in values:
            raise InvalidBatch(
                f"ChildDelete({self.table!r}, set=…) must set {self.relation.by!r}, otherwise the "
                f"same rows are found again; and it takes no children=[…]"
            )
        call = f"ChildDelete({self.table!r}, set=…)"
        try:
            updated = update(self.table, values, where=raw_sql("true"))
        except InvalidBatch as error:
            raise InvalidBatch(f"{call}: {error}") from error
        check_known(call, updated._values)

    def _check_children(self) -> None:
        for child in self.children:
            parent = child.relation.parent
            if parent.table != self.table or parent.deleted_at != self.relation.deleted_at:
                raise InvalidBatch(
                    f"ChildDelete({self.table!r}, children=[…]): {child.table!r} are children of "
                    f"{parent.table!r} with deleted_at={parent.deleted_at!r}; declare them by a "
                    f"Parent(table={self.table!r}, deleted_at={self.relation.deleted_at!r}, …)"
                )
            parent.soft_delete_values()  # rejects a parent without a column for soft deletes

    @property
    def table(self) -> str:
        """Return the children's table."""
        return self.relation.table

    def stages(self, ancestors: tuple[Children, ...] = ()) -> Iterator[Stage]:
        """Return the stages that delete these rows and their children, in order.

        :param ancestors: the relations between the tree's parent and these rows.
        """
        path, order = (*ancestors, self.relation), self.order
        if self.children:
            hidden = tuple(self.children[0].relation.parent.soft_delete_values().items())
            yield Stage(path=path, order=order, changes=hidden, counts=not self.hard)
            for child in self.children:
                yield from child.stages(path)
        if self.hard:
            below = tuple(child.relation for child in self.children)
            yield Stage(
                path=path, order=order, changes=None, live_only=False, without_children=below
            )
        elif not self.children:
            yield Stage(path=path, order=order, changes=self._changes())

    def _changes(self) -> tuple[tuple[str, object], ...]:
        if self.set is not None:
            return tuple(self.set.items())
        return ((str(self.relation.deleted_at), raw_sql("now()")),)
