# SPDX-License-Identifier: MIT
"""List the statements of a batch in its order, with their values, and how results are combined.

Listing does not recurse, so nesting has no depth limit: a batch folded from ten thousand others
works like a flat one. Labels and mappings around a statement are not looked at: they matter only
after a failure, after which :meth:`Plan.place <batchq.engine.plan.Plan.place>` reads the batch once
more.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from operator import itemgetter
from typing import Any, cast

from batchq.engine.combining import Making, Pick, add_making
from batchq.language.batch import Batch, Bound, Composite, Wrapped
from batchq.language.combining import Combining
from batchq.language.each import Each
from batchq.language.matchers import Matcher
from batchq.language.placement import Scheduled
from batchq.language.shape import Shape
from batchq.language.statement import Statement

_Around = tuple[
    Iterator[Batch[Any, Any]],
    list[int],
    Combining | None,
    Bound[Any] | None,
    Iterator[object],
]
"""What is around a part: the parts after it, where the results of those before it are, how they are
combined, and by what they are bound."""


class Listing:
    """The statements of a batch in its order, and what has been seen of them."""

    def __init__(self) -> None:
        self.statements: list[Statement[Any, Any]] = []
        self.shapes: list[Shape] = []
        self.values: list[object] = []
        self.in_order: Pick | None = None
        """Picks the results in the order of the batch; None if the statements run in that order."""
        self.makings: list[Making] = []
        """How each result that is made of others is made, in order."""
        self.place = 0
        """The place of the result of the whole; see :mod:`batchq.engine.combining`."""
        self.wrapped_names: list[Matcher] = []
        self.scheduled: dict[int, tuple[Scheduled[Any, Any], Bound[Any] | None]] = {}
        """The scheduled statements by their places, each with the batch that has its values."""
        self.is_ordered = False
        """Whether one of them runs first or last, and may stand elsewhere."""
        self.takes_outputs = False

    def add(self, batch: Batch[Any, Any]) -> None:
        """Add all statements, in the order of the batch.

        Those of a bound one stay as declared. Their values are beside them.
        """
        statements, shapes, values = self.statements, self.shapes, self.values
        makings = self.makings
        places: list[int] = []
        node: Batch[Any, Any]
        parts: Iterator[Batch[Any, Any]] = iter((batch,))
        bound: Bound[Any] | None = None
        given: Iterator[object] = iter(())
        around: list[_Around] = []
        while True:
            for node in parts:
                # Nearly all are statements. isinstance() takes long to say no.
                kind = type(node)
                while kind is not Statement and isinstance(node, Wrapped):
                    self.wrapped_names += node.long_names
                    node = node.inner  # noqa: PLW2901  what it is around
                    kind = type(node)
                if kind is Scheduled and isinstance(node, Scheduled):
                    self.scheduled[len(statements)] = node, bound
                    self.is_ordered |= node.last_key is not None or (
                        node.is_first and bool(statements)
                    )
                    node, kind = node.statement, Statement  # noqa: PLW2901  listed as any other
                if kind is Statement and isinstance(node, Statement):
                    own, shape = node._values, node._shape
                    places.append(len(statements))
                    statements.append(node)
                    shapes.append(shape)
                    values += own if bound is None else islice(given, len(own))
                    self.takes_outputs |= shape.takes_outputs
                elif isinstance(node, Composite):
                    around.append((parts, places, node.combining, bound, given))
                    places, parts = [], iter(node.parts)
                    break
                elif isinstance(node, Bound):
                    around.append((parts, places, None, bound, given))
                    places, bound, parts = [], node, iter((node.declaration,))
                    given = iter(node.taken.values(node.given))
                    break
                else:
                    places.append(self.add_each(node, None if bound is None else given))
            else:
                if not around:
                    (self.place,) = places
                    return
                made_of = places
                parts, places, combining, bound, given = around.pop()
                places.append(
                    made_of[0] if combining is None else add_making(makings, made_of, combining)
                )

    def add_each(self, node: Batch[Any, Any], given: Iterator[object] | None) -> int:
        """Add one statement for each row; return the place of the result.

        :param given: begins with their values, in a declaration that is bound.
        """
        if not isinstance(node, Each):
            raise _not_a_batch(node)
        first, count = len(self.statements), len(node.values)
        statement = cast("Statement[Any]", node.statement)
        self.makings.append((itemgetter(slice(first, first + count)), node.combine, False))
        self.statements += [statement] * count
        self.shapes += [statement._shape] * count
        own = chain.from_iterable(node.values)
        self.values += own if given is None else islice(given, len(statement._values) * count)
        self.takes_outputs |= statement._shape.takes_outputs and count > 0
        return -len(self.makings)


def _not_a_batch(given: object) -> TypeError:
    return TypeError(f"not a batch: {type(given).__name__}; use sql(), insert(), gather(), …")
