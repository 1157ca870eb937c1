# SPDX-License-Identifier: MIT
"""Plan a batch: its statements in the order they run, and how their results are combined.

Neither planning nor combining recurses, so nesting has no depth limit: a batch folded from ten
thousand others works like a flat one. Labels and mappings around a statement are not looked at:
they matter only after a failure, after which :attr:`Plan.placed` reads the batch once more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

from batchq.engine.scope import PlacedStatement, Scopes
from batchq.language.batch import Batch, Composite, Wrapped
from batchq.language.matchers import Matcher
from batchq.language.placement import Scheduled
from batchq.language.shape import Shape, check_single_row
from batchq.language.statement import Statement
from batchq.language.traversal import check_outputs
from batchq.language.value import value

Combine = tuple[int, Callable[[Sequence[Any]], Any]]
"""An instruction to replace the last results by one: their number, and the function."""


@value
class Plan:
    """The statements in order, and the postfix instructions that combine their results."""

    batch: Batch[Any]
    statements: list[Statement[Any]]
    shapes: tuple[Shape, ...]
    """Their shapes, which decide everything but their values."""
    leaves: list[int]
    """The place of each statement among the leaves of the batch, in the order of the batch."""
    combining: list[Combine | int]
    """A number pushes the result of that statement."""
    outputs: Mapping[int, tuple[str, ...]]
    """The columns that later statements use, for each statement that has any."""
    wrapped_names: list[Matcher]
    """The matchers around statements by names that may be too long for the server."""

    def long_names(self) -> list[Matcher]:
        """Return all matchers by names that may be too long for the server."""
        own = (statement._shape.long_names for statement in self.statements)
        return [*self.wrapped_names, *chain.from_iterable(own)]

    @cached_property
    def placed(self) -> list[PlacedStatement]:
        """Each statement at its place, computed on failure only."""
        scopes, outputs = Scopes(self.batch), self.outputs
        return [
            PlacedStatement(statement, scopes, leaf, outputs.get(index, ()))
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
            arity, function = instruction
            cut = len(stack) - arity
            parts = stack[cut:]
            del stack[cut:]
            stack.append(function(parts))
        (result,) = stack
        return result


def _nothing(_: Sequence[Any]) -> None:
    """Return the result of a scheduled statement that is not repeated."""


_NOTHING: Combine = (0, _nothing)


def plan(batch: Batch[Any, Any]) -> Plan:
    """Return the plan of a batch.

    :raises TypeError: if an object is not a batch.
    :raises InvalidBatch: if a statement uses an output of a statement outside the batch.
    """
    if not isinstance(batch, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]  an argument of run()
        raise _not_a_batch(batch)
    statements: list[Statement[Any]] = []
    leaves: list[int] = []
    combining: list[Combine | int] = []
    keys: set[Hashable] = set()
    last: list[_Postponed] = []
    wrapped_names: list[Matcher] = []
    leaf = 0
    todo: list[Batch[Any] | Combine] = [batch]
    while todo:
        node = todo.pop()
        if isinstance(node, Statement):
            combining.append(len(statements))
            statements.append(node)
            leaves.append(leaf)
            leaf += 1
        elif isinstance(node, tuple):
            combining.append(node)
        elif isinstance(node, Wrapped):
            todo.append(node.inner)
            wrapped_names += node.long_names
        elif isinstance(node, Composite):
            parts = node.parts
            todo.append((len(parts), node.combine))
            todo += parts[::-1]
        elif isinstance(node, Scheduled):
            if _runs_here(node, keys):
                combining.append(len(statements))
                statements.append(node.statement)
                leaves.append(leaf)
            else:
                last.append((node, leaf, len(combining)))
                combining.append(_NOTHING)
            leaf += 1
        else:
            raise _not_a_batch(node)
    for node, leaf, position in _in_order(last, keys) if last else ():
        combining[position] = len(statements)
        statements.append(node.statement)
        leaves.append(leaf)
    shapes = tuple([statement._shape for statement in statements])
    outputs = _outputs(batch, statements)
    return Plan(batch, statements, shapes, leaves, combining, outputs, wrapped_names)


def _not_a_batch(given: object) -> TypeError:
    return TypeError(f"not a batch: {type(given).__name__}; use sql(), insert(), gather(), …")


_Postponed = tuple[Scheduled[Any], int, int]
"""A statement that does not run at its place: its place among the leaves, and the position of the
instruction that takes its result."""


def _runs_here(scheduled: Scheduled[Any], keys: set[Hashable]) -> bool:
    """Return whether a scheduled statement runs at its place in the batch."""
    return scheduled.run_last is None and not _is_duplicate(scheduled, keys)


def _in_order(postponed: list[_Postponed], keys: set[Hashable]) -> Iterator[_Postponed]:
    """Yield the statements that run last, by their order, and by the batch's order among equals."""
    last = [(node.run_last, item) for item in postponed if (node := item[0]).run_last is not None]
    for _, item in sorted(last, key=itemgetter(0)):  # a stable sort
        if not _is_duplicate(item[0], keys):
            yield item


def _is_duplicate(scheduled: Scheduled[Any], keys: set[Hashable]) -> bool:
    """Return whether a statement with the same key has run since the last reset of that key.

    :param keys: the keys of the statements so far, which is brought up to date.
    """
    keys.discard(scheduled.resets)
    if scheduled.dedupe_key is None:
        return False
    is_duplicate = scheduled.dedupe_key in keys
    keys.add(scheduled.dedupe_key)
    return is_duplicate


def _outputs(
    batch: Batch[Any], statements: Sequence[Statement[Any]]
) -> Mapping[int, tuple[str, ...]]:
    """Return the columns that later statements use, by the statement that produces them."""
    for statement in statements:
        if statement._shape.takes_outputs:
            break
    else:
        return _NO_OUTPUTS
    check_outputs(batch)
    producers: dict[object, int] = {}
    columns: dict[int, list[str]] = {}
    for index, statement in enumerate(statements):
        for output in statement._required_outputs:
            producer = producers[output.identity]
            producing = statements[producer]
            check_single_row(producing._shape, producing.title)
            used = columns.setdefault(producer, [])
            if output.column not in used:
                used.append(output.column)
        producers[statement._identity] = index
    return {index: tuple(used) for index, used in columns.items()}


_NO_OUTPUTS: Mapping[int, tuple[str, ...]] = {}
