# SPDX-License-Identifier: MIT
"""Plan a batch: its statements in the order they run, and how their results are combined.

Neither planning nor combining recurses, so nesting has no depth limit: a batch folded from ten
thousand others works like a flat one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from attrs import define, field

from batchq.engine.combining import combined
from batchq.engine.listing import Listing
from batchq.engine.produced_columns import produced_columns
from batchq.engine.schedule import depends_on_values, running_order
from batchq.engine.scope import Leaf, PlacedStatement, find_leaves
from batchq.language.batch import Batch, Bound
from batchq.language.matchers import Matcher
from batchq.language.old import Returned
from batchq.language.parameters import Parameter
from batchq.language.placement import Scheduled
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.takes import Takes, picker
from batchq.language.tree import leaves as leaves_of


@define(eq=False, repr=False)
class Plan:
    """The statements in order, and how their results are combined."""

    batch: Batch[Any, Any]
    statements: Sequence[Statement[Any, Any]]
    """As declared: those of a bound batch have parameters."""
    built_values: Sequence[object]
    """The values of all statements, in order; of a bound batch those of its declaration."""
    shapes: tuple[Shape, ...]
    """Their shapes, which decide everything but their values."""
    leaves: Sequence[int]
    """The place of each statement in the batch, in which a scheduled one may have another."""
    combine: Callable[[Sequence[Any]], Any]
    """Returns the batch's result, from the statements' results."""
    outputs: Mapping[int, tuple[Returned, ...]]
    """The columns that later statements use, for each statement that has any."""
    wrapped_names: Sequence[Matcher]
    """The matchers around statements by names that may be too long for the server."""
    shared: Mapping[object, int]
    """By their identity the statements that do not run because an equal one has, and its index."""
    takes: Takes | None = None
    """What the declaration takes, if the whole batch is bound."""
    given: Sequence[object] = ()
    """The values that are given to the declaration."""
    _scoped: list[Leaf] | None = field(init=False, default=None)

    @property
    def values(self) -> Sequence[object]:
        """The values of all statements, in order."""
        if self.takes is None:
            return self.built_values
        places, given = self.takes.places, self.given
        return [given[places[v]] if isinstance(v, Parameter) else v for v in self.built_values]

    def long_names(self) -> list[Matcher]:
        """Return all matchers by names that may be too long for the server."""
        own = (statement._shape.long_names for statement in self.statements)
        return [*self.wrapped_names, *chain.from_iterable(own)]

    # No cached_property: for one attrs defines __getattr__, and each field is read the slow way.
    @property
    def scoped(self) -> list[Leaf]:
        """The statements as they stand in the batch; those of a declaration are found once."""
        if self._scoped is None:
            self._scoped = find_leaves(self.batch)
        return self._scoped

    @property
    def placed(self) -> list[PlacedStatement]:
        """Each statement at its place."""
        return list(self.place().values())

    def place(self, only: int | None = None) -> dict[int, PlacedStatement]:
        """Return statements at their places, by their indexes; on failure only.

        :param only: the index of the one to return; None for all.
        """
        takes, places, given = self.takes, None, self.given
        declaration = self
        if takes is not None:
            places, declaration = takes.places, takes.known[Plan]
        leaves = declaration.scoped
        placed: dict[int, PlacedStatement] = {}
        end = 0
        for index, (statement, place) in enumerate(zip(self.statements, self.leaves, strict=True)):
            start, end = end, end + len(statement._values)
            if only is None or index == only:
                values = self.built_values[start:end]
                if places is not None:
                    values = [given[places[v]] if isinstance(v, Parameter) else v for v in values]
                leaf, outputs = leaves[place], self.outputs.get(index, ())
                declared = leaf.declared(statement)
                placed[index] = PlacedStatement(statement, tuple(values), leaf, declared, outputs)
        return placed


def plan(batch: Batch[Any, Any]) -> Plan:
    """Return the plan of a batch.

    :raises TypeError: if an object is not a batch.
    :raises InvalidBatch: if a statement uses an output of a statement outside the batch.
    """
    if isinstance(batch, Bound):
        takes = batch.taken
        own = takes.known.get(Plan)
        if own is None:
            own = takes.known[Plan] = _declared(batch.declaration)
        if own is not _BY_VALUES:
            return Plan(
                batch,
                own.statements,
                own.built_values,
                own.shapes,
                own.leaves,
                own.combine,
                own.outputs,
                own.wrapped_names,
                own.shared,
                takes,
                batch.given,
            )
    return _planned(batch)


def _planned(batch: Batch[Any, Any]) -> Plan:
    listing = Listing()
    listing.add(batch)
    leaves: Sequence[int] = range(len(listing.statements))
    shared: Mapping[object, int] = {}
    if listing.is_ordered or len(listing.scheduled) > 1:
        leaves, shared = _put_in_order(listing)
    outputs: Mapping[int, tuple[Returned, ...]] = {}
    if listing.takes_outputs:
        outputs = produced_columns(batch, listing.statements, shared)
    return Plan(
        batch,
        listing.statements,
        listing.values,
        tuple(listing.shapes),
        leaves,
        partial(combined, listing.in_order, listing.makings, listing.place),
        outputs,
        listing.wrapped_names,
        shared,
    )


def _put_in_order(listing: Listing) -> tuple[Sequence[int], Mapping[object, int]]:
    """Put the statements in the order in which they run, without those that do not.

    :return: their places in the batch; and by their identity those that do not run because an equal
        one has, with its index.
    """
    scheduled = {
        place: each if bound is None else each._replaced(bound.replacements)
        for place, (each, bound) in listing.scheduled.items()
    }
    leaves, others = running_order(scheduled, len(listing.statements))
    if isinstance(leaves, range):
        return leaves, {}
    index = {leaf: number for number, leaf in enumerate(leaves)}
    index |= {leaf: index[other] for leaf, other in others.items()}
    shared: dict[object, int] = {listing.statements[leaf]._identity: index[leaf] for leaf in others}
    values = iter(listing.values)
    own = [tuple(islice(values, len(statement._values))) for statement in listing.statements]
    listing.values = list(chain.from_iterable([own[leaf] for leaf in leaves]))
    listing.statements = [listing.statements[leaf] for leaf in leaves]
    listing.shapes = [listing.shapes[leaf] for leaf in leaves]
    listing.takes_outputs = any(shape.takes_outputs for shape in listing.shapes)
    listing.in_order = picker([index[leaf] for leaf in range(len(index))])
    return leaves, shared


_BY_VALUES = object()
"""In the place of the plan of a declaration of which the values decide what runs, or when."""


def _declared(declaration: Batch[Any, Any]) -> Any:
    """Return the plan of a declaration, or :data:`_BY_VALUES`."""
    is_open = depends_on_values(_scheduled(declaration))
    return _BY_VALUES if is_open else _planned(declaration)


def _scheduled(batch: Batch[Any, Any]) -> list[Scheduled[Any, Any]]:
    return [leaf for leaf in leaves_of(batch) if isinstance(leaf, Scheduled)]
