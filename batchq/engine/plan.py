# SPDX-License-Identifier: MIT
"""Plan a batch: its statements in the order they run, and how their results are combined.

Neither planning nor combining recurses, so nesting has no depth limit: a batch folded from ten
thousand others works like a flat one. Labels and mappings around a statement are not looked at:
they matter only after a failure, after which :attr:`Plan.placed` reads the batch once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, cast

from batchq.engine.produced_columns import produced_columns
from batchq.engine.schedule import depends_on_values, running_order
from batchq.engine.scope import PlacedStatement, Scopes
from batchq.language.batch import Batch, Bound, Composite, Wrapped
from batchq.language.each import Each
from batchq.language.matchers import Matcher
from batchq.language.old import Returned
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
    outputs: Mapping[int, tuple[Returned, ...]]
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
    def scopes(self) -> Scopes:
        """The scopes in the batch; those of a declaration are found once."""
        return Scopes(self.batch)

    @cached_property
    def placed(self) -> list[PlacedStatement]:
        """Each statement at its place, computed on failure only."""
        scopes = self.scopes if self.declared is None else self.declared.scopes
        values = iter(self.values)
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
    return planner.plan(batch)


class _Planner:
    """Lists the statements of a batch, and puts them in the order in which they run."""

    def __init__(self) -> None:
        self.statements: list[Statement[Any, Any]] = []
        self.values: list[object] = []
        self.combining: list[Instruction | int] = []
        self.wrapped_names: list[Matcher] = []
        self.scheduled: dict[int, Scheduled[Any, Any]] = {}
        self.shared: dict[object, int] = {}

    def add(self, batch: Batch[Any, Any]) -> None:
        """Add all statements, in the order of the batch."""
        combining, statements = self.combining, self.statements
        parts: Iterator[Batch[Any, Any]] = iter((batch,))
        around: list[tuple[Iterator[Batch[Any, Any]], Instruction | None]] = []
        while True:
            for part in parts:
                node = part
                while isinstance(node, Wrapped):
                    self.wrapped_names += node.long_names
                    node = node.inner
                if isinstance(node, Statement):
                    combining.append(len(statements))
                    statements.append(node)
                    self.values += node._values
                elif isinstance(node, Composite):
                    around.append((parts, node.combining))
                    parts = iter(node.parts)
                    break
                elif isinstance(node, Bound):
                    # What is around it may decide what of it runs, or when.
                    around.append((parts, None))
                    parts = iter((node.as_built(),))
                    break
                else:
                    self.add_leaf(node)
            else:
                if not around:
                    return
                parts, instruction = around.pop()
                if instruction is not None:
                    combining.append(instruction)

    def add_leaf(self, node: Batch[Any, Any]) -> None:
        """Add the statements of a batch that holds no other."""
        if isinstance(node, Scheduled):
            self.scheduled[len(self.statements)] = node
            self.combining.append(len(self.statements))
            statement = cast("Statement[Any, Any]", node.statement)
            self.statements.append(statement)
            self.values += statement._values
        elif isinstance(node, Each):
            first, count = len(self.statements), len(node.values)
            self.combining.append((slice(first, first + count), node.combine))
            self.statements += [cast("Statement[Any]", node.statement)] * count
            self.values += chain.from_iterable(node.values)
        else:
            raise _not_a_batch(node)

    def plan(self, batch: Batch[Any, Any]) -> Plan:
        """Return the plan."""
        leaves: Sequence[int] = range(len(self.statements))
        if self.scheduled:
            leaves, others = running_order(self.scheduled, len(leaves))
            if not isinstance(leaves, range):
                self.move(leaves, others)
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

    def move(self, leaves: Sequence[int], others: Mapping[int, int]) -> None:
        """Put the statements in another order.

        :param leaves: the places in the batch of those that run.
        :param others: for each that does not run, the place of the one that has its result.
        """
        index = {leaf: number for number, leaf in enumerate(leaves)}
        index |= {leaf: index[other] for leaf, other in others.items()}
        self.shared = {self.statements[leaf]._identity: index[leaf] for leaf in others}
        values = iter(self.values)
        own = [tuple(islice(values, len(statement._values))) for statement in self.statements]
        self.values = list(chain.from_iterable([own[leaf] for leaf in leaves]))
        self.statements = [self.statements[leaf] for leaf in leaves]
        self.combining = [_moved(instruction, index) for instruction in self.combining]


def _moved(instruction: Instruction | int, index: Mapping[int, int]) -> Instruction | int:
    """Return an instruction, with the results at their new places."""
    if isinstance(instruction, int):
        return index[instruction]
    of, function = instruction
    if not isinstance(of, slice) or of.start == of.stop:
        return instruction
    first = index[of.start]  # the statements for each row stay together
    return slice(first, first + of.stop - of.start), function


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
