# SPDX-License-Identifier: MIT
"""One kind of children, and how they go: the passes over them and over what is below them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import Factory, field, frozen

from batchq.bulk.chunks.chunk import order_key
from batchq.bulk.chunks.stages import Pass
from batchq.language.builders import written
from batchq.language.errors import InvalidBatch
from batchq.patterns.hierarchy import Children


def drains_of(drains: Iterable[Drain]) -> tuple[Drain, ...]:
    """Convert an iterable of drains to a tuple."""
    return tuple(drains)


def _removes(drain: Drain) -> bool:
    return drain.children.deleted_at is None


@frozen(kw_only=True)
class Drain:
    """One kind of children, and how they go.

    >>> vpc, router = Parent(table="vpc"), Parent(table="vpc_router")
    >>> routes = router.children("router_route", by="router_id", deleted_at=None)
    >>> routers = vpc.children("vpc_router", by="vpc_id")
    >>> drain = Drain(children=routers, below=[Drain(children=routes)])
    """

    children: Children
    order: tuple[str, ...] = field(default=("id",), converter=order_key)
    """A column, or several, unique among the children of one parent and indexed with its key."""
    removes: bool = field(default=Factory(_removes, takes_self=True))
    """Whether the rows are really deleted, those that were hidden before as well. Left out: where
    they have no tombstone. Otherwise they are hidden, which is the end of them."""
    set: Mapping[str, object] | None = None
    """What is set of them instead: ``{"vpc_id": None}`` makes them nobody's."""
    below: tuple[Drain, ...] = field(default=(), converter=drains_of)
    """Their own children. They are hidden before these go, so they need a tombstone."""

    def __attrs_post_init__(self) -> None:
        """Refuse what could not end."""
        if self.set is not None and (self.below or self.children.by not in self.set):
            message = (
                f"Drain({self.table!r}, set=…) has to set {self.children.by!r}: rows that stay "
                f"children are found again, and such rows have nothing below"
            )
            raise InvalidBatch(message)
        for drain in self.below:
            parent = drain.children.parent
            if parent.table != self.table or parent.deleted_at != self.children.deleted_at:
                message = (
                    f"Drain({self.table!r}, below=…): {drain.table!r} are children of "
                    f"{parent.table!r}, with the tombstone {parent.deleted_at!r}"
                )
                raise InvalidBatch(message)
            parent.soft_delete_values()  # refuses a parent that has no tombstone

    @property
    def table(self) -> str:
        """Their table."""
        return self.children.table

    def passes(self, above: tuple[Children, ...] = ()) -> Iterator[Pass]:
        """The passes over them and what is below them, in their order.

        :param above: whose children they are, where the tree's parent is not.
        """
        reach, order = (*above, self.children), self.order
        if self.below:
            hidden = tuple(self.below[0].children.parent.soft_delete_values().items())
            yield Pass(reach=reach, order=order, sets=hidden, counts=not self.removes)
            for drain in self.below:
                yield from drain.passes(reach)
        if self.removes and self.set is None:
            childless = tuple(drain.children for drain in self.below)
            yield Pass(reach=reach, order=order, sets=None, living=False, childless=childless)
        elif not self.below:
            yield Pass(reach=reach, order=order, sets=self._changes())

    def _changes(self) -> tuple[tuple[str, object], ...]:
        if self.set is not None:
            return tuple(self.set.items())
        return ((str(self.children.deleted_at), written("now()")),)
