# SPDX-License-Identifier: MIT
"""Plan a batch: its statements in the order they run, and how their results are combined.

Neither planning nor combining recurses, so nesting has no depth limit: a batch folded from ten
thousand others works like a flat one. Labels and mappings around a statement are not looked at:
they matter only after a failure, after which :attr:`Plan.placed` reads the batch once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, cast

from batchq.engine.produced_columns import produced_columns
from batchq.engine.schedule import Keys, Postponed, depends_on_values, in_order
from batchq.engine.scope import PlacedStatement, Scopes
from batchq.language.batch import Batch, Bound, Composite, Wrapped
from batchq.language.each import Each
from batchq.language.matchers import Matcher
from batchq.language.parameters import Parameter
from batchq.language.placement import Scheduled
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.tree import leaves as leaves_of
from batchq.language.value import value

Instruction = tuple[int | slice | None, Callable[[Any], Any]]
"""As :data:`Combining`, of the last results; or statements, and a function of their results."""


@value
class Plan:
    """The statements in order, and the postfix instructions that combine their results."""

    batch: Batch[Any, Any]
    statements: Sequence[Statement[Any, Any]]
    """As declared: those of a bound batch have parameters."""
    built_values: Sequence[object]
    """The values of all statements, in order; of a bound batch those of its declaration."""
    shapes: tuple[Shape, ...]
    """Their shapes, which decide everything but their values."""
    leaves: Sequence[int]
    """The place of each statement in the batch, in which a scheduled one may have another."""
    combining: Sequence[Instruction | int]
    """A number pushes the result of that statement."""
    outputs: Mapping[int, tuple[str, ...]]
    """The columns that later statements use, for each statement that has any."""
    wrapped_names: Sequence[Matcher]
    """The matchers around statements by names that may be too long for the server."""
    shared: Mapping[object, int]
    """By their identity the statements that do not run because an equal one has, and its index."""
    declared: Plan | None = None
    """The plan of the declaration, if the whole batch is bound."""
    given: Sequence[object] = ()
    """The values that are given to the declaration."""

    @property
    def values(self) -> Sequence[object]:
        """The values of all statements, in order."""
        if self.declared is None:
            return self.built_values
        places, given = cast("Bound[Any]", self.batch).taken.places, self.given
        return [given[places[v]] if isinstance(v, Parameter) else v for v in self.built_values]

    def long_names(self) -> list[Matcher]:
        """Return all matchers by names that may be too long for the server."""
        own = (statement._shape.long_names for statement in self.statements)
        return [*self.wrapped_names, *chain.from_iterable(own)]

    @cached_property
    def placed(self) -> list[PlacedStatement]:
        """Each statement at its place, computed on failure only."""
        scopes, values = Scopes(self.batch), iter(self.values)
        return [
            PlacedStatement(
                statement,
                tuple(islice(values, len(statement._values))),
                scopes,
                leaf,
                self.outputs.get(index, ()),
            )
            for index, (statement, leaf) in enumerate(
                zip(self.statements, self.leaves, strict=True)
            )
        ]

    def combine(self, results: Sequence[Any]) -> Any:
        """Return the batch's result, from the statements' results."""
        stack: list[Any] = []
        for instruction in self.combining:
            if isinstance(instruction, int):
                stack.append(results[instruction])
                continue
            of, function = instruction
            if of is None:
                stack[-1] = function(stack[-1])
            elif isinstance(of, int):
                cut = len(stack) - of
                stack[cut:] = [function(stack[cut:])]
            else:
                stack.append(function(results[of]))
        (result,) = stack
        return result


def plan(batch: Batch[Any, Any]) -> Plan:
    """Return the plan of a batch.

    :raises TypeError: if an object is not a batch.
    :raises InvalidBatch: if a statement uses an output of a statement outside the batch.
    """
    if isinstance(batch, Bound):
        own = _declared(batch)
        if own is not None:
            return _bound(batch, own)
    elif not isinstance(batch, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]  an argument of run()
        raise _not_a_batch(batch)
    return _planned(batch)


def _planned(batch: Batch[Any, Any]) -> Plan:
    planner = _Planner()
    planner.add(batch)
    if planner.first:  # few batches have any, and only now are they known
        planner = _Planner(planner.first)
        planner.add(batch)
    return planner.plan(batch)


class _Planner:
    """Lists the statements of a batch in the order in which they run.

    :param first: the statements that run first, which an earlier planner has found.
    """

    def __init__(self, first: Sequence[Scheduled[Any, Any]] = ()) -> None:
        self.statements: list[Statement[Any, Any]] = []
        self.values: list[object] = []
        self.combining: list[Instruction | int] = []
        self.wrapped_names: list[Matcher] = []
        self.keys = Keys()
        self.first: list[Scheduled[Any, Any]] = []
        self.last: list[Postponed] = []
        self.shared: dict[object, int] = {}
        self.elsewhere: list[int] = []
        """The places in the batch of the statements that do not run there."""
        self.results_of_first = [self.add_once(each) for each in first]
        self.leaves_of_first: list[int] = []
        self.count_of_first = len(self.statements)

    def add(self, batch: Batch[Any, Any]) -> None:
        """Add all statements but those that run last."""
        combining, statements = self.combining, self.statements
        todo: list[Batch[Any, Any] | Instruction] = [batch]
        while todo:
            node = todo.pop()
            if isinstance(node, Statement):
                combining.append(len(statements))
                self.add_statement(node)
            elif isinstance(node, tuple):
                combining.append(node)
            elif isinstance(node, Wrapped):
                todo.append(node.inner)
                self.wrapped_names += node.long_names
            elif isinstance(node, Composite):
                todo.append(node.combining)
                todo += node.parts[::-1]
            elif isinstance(node, Bound):
                # What is around it may decide what of it runs, or when.
                todo.append(node.as_built())
            else:
                self.add_leaf(node)

    def add_statement(self, statement: Statement[Any, Any]) -> None:
        """Add one statement as the next."""
        self.statements.append(statement)
        self.values += statement._values

    def add_leaf(self, node: Batch[Any, Any]) -> None:
        """Add the statements of a batch that holds no other."""
        if isinstance(node, Scheduled):
            self.combining.append(self.add_scheduled(node))
        elif isinstance(node, Each):
            first, count = len(self.statements), len(node.values)
            self.combining.append((slice(first, first + count), node.combine))
            self.statements += [cast("Statement[Any]", node.statement)] * count
            self.values += chain.from_iterable(node.values)
        else:
            raise _not_a_batch(node)

    def add_scheduled(self, node: Scheduled[Any, Any]) -> int:
        """Add a scheduled statement if it runs here, and return the index of its result."""
        leaf = len(self.statements) - self.count_of_first + len(self.elsewhere)
        if node.is_first:
            place = len(self.first)
            self.first.append(node)
            if place < len(self.results_of_first):
                self.elsewhere.append(leaf)
                index = self.results_of_first[place]
                if index == len(self.leaves_of_first):
                    self.leaves_of_first.append(leaf)
                return index
        elif node.last_key is not None:
            self.elsewhere.append(leaf)
            self.last.append((node, leaf, len(self.combining)))
            return -1  # as long as it is not known
        count, index = len(self.statements), self.add_once(node)
        if len(self.statements) == count:
            self.elsewhere.append(leaf)
        return index

    def add_once(self, node: Scheduled[Any, Any]) -> int:
        """Add a statement, unless one with its key has run, and return the index of its result."""
        index = len(self.statements)
        earlier = self.keys.earlier(node, index)
        if earlier is not None:
            self.shared[node.statement._identity] = earlier
            return earlier
        self.add_statement(cast("Statement[Any, Any]", node.statement))
        return index

    def plan(self, batch: Batch[Any, Any]) -> Plan:
        """Add the statements that run last, and return the plan."""
        leaves: Sequence[int] = range(len(self.statements))
        if self.elsewhere:
            moved = set(self.elsewhere)
            count = len(self.statements) - self.count_of_first + len(moved)
            leaves = [*self.leaves_of_first, *[n for n in range(count) if n not in moved]]
            for node, leaf, position in in_order(self.last):
                self.combining[position] = index = self.add_once(node)
                if index == len(leaves):
                    leaves.append(leaf)
        shapes = tuple([statement._shape for statement in self.statements])
        return Plan(
            batch,
            self.statements,
            self.values,
            shapes,
            leaves,
            self.combining,
            produced_columns(batch, self.statements, self.shared),
            self.wrapped_names,
            self.shared,
        )


def _bound(batch: Bound[Any], own: Plan) -> Plan:
    """Return the plan of a declaration with the values of a bound batch."""
    return Plan(
        batch,
        own.statements,
        own.built_values,
        own.shapes,
        own.leaves,
        own.combining,
        own.outputs,
        own.wrapped_names,
        own.shared,
        own,
        batch.given,
    )


def _declared(batch: Bound[Any]) -> Plan | None:
    """Return the plan of a declaration; None if the values decide what runs, or when."""
    known = batch.taken.known
    if Plan not in known:
        is_open = depends_on_values(_scheduled(batch.declaration))
        known[Plan] = None if is_open else _planned(batch.declaration)
    plan: Plan | None = known[Plan]
    return plan


def _scheduled(batch: Batch[Any, Any]) -> list[Scheduled[Any, Any]]:
    return [leaf for leaf in leaves_of(batch) if isinstance(leaf, Scheduled)]


def _not_a_batch(given: object) -> TypeError:
    return TypeError(f"not a batch: {type(given).__name__}; use sql(), insert(), gather(), …")
