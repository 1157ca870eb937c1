# SPDX-License-Identifier: MIT
"""One kind of children, and how they go: the passes over them and over what is below them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import Factory, field, frozen

from batchq.bulk.chunks.chunk import order_key
from batchq.bulk.chunks.stages import Stage
from batchq.language.builders import raw_sql
from batchq.language.errors import InvalidBatch
from batchq.patterns.hierarchy import Children


def child_deletes(children: Iterable[ChildDelete]) -> tuple[ChildDelete, ...]:
    """Convert an iterable of drains to a tuple."""
    return tuple(children)


def _is_hard(drain: ChildDelete) -> bool:
    return drain.relation.deleted_at is None


@frozen(kw_only=True)
class ChildDelete:
    """One kind of children, and how they go.

    >>> from batchq.hierarchy import Parent
    >>> columns = {"key": "id", "deleted_at": "deleted_at", "generation": "version"}
    >>> vpc, router = Parent(table="vpc", **columns), Parent(table="vpc_router", **columns)
    >>> routes = router.children("router_route", by="router_id", deleted_at=None)
    >>> routers = vpc.children("vpc_router", by="vpc_id", deleted_at="deleted_at")
    >>> drain = ChildDelete(relation=routers, children=[ChildDelete(relation=routes)])
    """

    relation: Children
    order: tuple[str, ...] = field(default=("id",), converter=order_key)
    """A column, or several, unique among the children of one parent and indexed with its key."""
    hard: bool = field(default=Factory(_is_hard, takes_self=True))
    """Whether the rows are really deleted, those that were hidden before as well. Left out: where
    they have no tombstone. Otherwise they are hidden, which is the end of them."""
    set: Mapping[str, object] | None = None
    """What is set of them instead: ``{"vpc_id": None}`` makes them nobody's."""
    children: tuple[ChildDelete, ...] = field(default=(), converter=child_deletes)
    """Their own children. They are hidden before these go, so they need a tombstone."""

    def __attrs_post_init__(self) -> None:
        """Refuse what could not end."""
        if self.set is not None and (self.children or self.relation.by not in self.set):
            message = (
                f"Drain({self.table!r}, set=…) has to set {self.relation.by!r}: rows that stay "
                f"children are found again, and such rows have nothing below"
            )
            raise InvalidBatch(message)
        for drain in self.children:
            parent = drain.relation.parent
            if parent.table != self.table or parent.deleted_at != self.relation.deleted_at:
                message = (
                    f"Drain({self.table!r}, below=…): {drain.table!r} are children of "
                    f"{parent.table!r}, with the tombstone {parent.deleted_at!r}"
                )
                raise InvalidBatch(message)
            parent.soft_delete_values()  # refuses a parent that has no tombstone

    @property
    def table(self) -> str:
        """Their table."""
        return self.relation.table

    def stages(self, above: tuple[Children, ...] = ()) -> Iterator[Stage]:
        """The passes over them and what is below them, in their order.

        :param above: whose children they are, where the tree's parent is not.
        """
        path, order = (*above, self.relation), self.order
        if self.children:
            hidden = tuple(self.children[0].relation.parent.soft_delete_values().items())
            yield Stage(path=path, order=order, sets=hidden, counts=not self.hard)
            for drain in self.children:
                yield from drain.stages(path)
        if self.hard and self.set is None:
            below = tuple(drain.relation for drain in self.children)
            yield Stage(path=path, order=order, sets=None, living=False, without_children=below)
        elif not self.children:
            yield Stage(path=path, order=order, sets=self._changes())

    def _changes(self) -> tuple[tuple[str, object], ...]:
        if self.set is not None:
            return tuple(self.set.items())
        return ((str(self.relation.deleted_at), raw_sql("now()")),)
