# SPDX-License-Identifier: MIT
"""Plan a batch: its statements in the order they run, and how their results are combined.

Neither planning nor combining recurses, so nesting has no depth limit: a batch folded from ten
thousand others works like a flat one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from attrs import field

from batchq.engine.scope import PlacedStatement, Scope
from batchq.language.batch import Batch, Composite, Wrapped
from batchq.language.matchers import Matcher
from batchq.language.placement import Scheduled
from batchq.language.shape import check_single_row
from batchq.language.statement import Statement
from batchq.language.traversal import check_outputs
from batchq.language.value import value


@value
class Combine:
    """An instruction of a plan's program: replace the last ``arity`` results by one."""

    arity: int
    function: Callable[[Sequence[Any]], Any]


@value
class Plan:
    """The statements in order, and the postfix program that combines their results."""

    statements: list[Statement[Any]]
    scopes: list[Scope | None]
    """The wrappers around each statement."""
    program: list[Combine | int]
    """A number pushes the result of that statement."""
    outputs: Mapping[int, tuple[str, ...]]
    """The columns that later statements use, for each statement that has any."""
    long_names: list[Matcher] = field(factory=list[Matcher])
    """The matchers by names that may be too long for the server."""

    @cached_property
    def placed(self) -> list[PlacedStatement]:
        """Each statement at its place, computed on failure only."""
        return [
            PlacedStatement(statement, scope, self.outputs.get(index, ()))
            for index, (statement, scope) in enumerate(
                zip(self.statements, self.scopes, strict=True)
            )
        ]

    def combine(self, results: Sequence[Any]) -> Any:
        """Return the batch's result: run the program over the statements' results."""
        stack: list[Any] = []
        for instruction in self.program:
            if isinstance(instruction, int):
                stack.append(results[instruction])
                continue
            cut = len(stack) - instruction.arity
            parts = stack[cut:]
            del stack[cut:]
            stack.append(instruction.function(parts))
        (result,) = stack
        return result


_NOTHING = Combine(0, lambda _: None)
"""The result of a scheduled statement that is not repeated."""


def plan(batch: Batch[Any]) -> Plan:
    """Return the plan of a batch.

    :raises TypeError: if an object is not a batch.
    :raises InvalidBatch: if a statement uses an output of a statement outside the batch.
    """
    statements: list[Statement[Any]] = []
    scopes: list[Scope | None] = []
    program: list[Combine | int] = []
    keys: set[Hashable] = set()
    tail: list[_Last] = []
    long_names: list[Matcher] = []
    todo: list[tuple[Batch[Any], Scope | None] | Combine] = [(batch, None)]
    while todo:
        item = todo.pop()
        if isinstance(item, Combine):
            program.append(item)
            continue
        node, scope = item
        if isinstance(node, Statement):
            program.append(len(statements))
            statements.append(node)
            scopes.append(scope)
            long_names += node._shape.long_names
        elif isinstance(node, Wrapped):
            todo.append((node.inner, Scope(scope, node)))
            long_names += node.long_names
        elif isinstance(node, Composite):
            parts = node.parts
            todo.append(Combine(len(parts), node.combine))
            todo.extend([(part, scope) for part in reversed(parts)])
        elif isinstance(node, Scheduled):
            if node.run_last is not None:
                tail.append(_Last(node.run_last, len(program), node, scope))
                program.append(_NOTHING)
            elif _is_duplicate(node, keys):
                program.append(_NOTHING)
            else:
                todo.append((node.statement, scope))
        else:
            message = f"not a batch: {type(node).__name__}; use sql(), insert(), gather(), …"
            raise TypeError(message)
    for last in _in_order(tail, keys):
        program[last.position] = len(statements)
        statements.append(last.scheduled.statement)
        scopes.append(last.scope)
        long_names += last.scheduled.statement._shape.long_names
    return Plan(statements, scopes, program, _outputs(batch, statements), long_names)


class _Last(NamedTuple):
    """A statement that runs after all others."""

    order: tuple[str, ...]
    position: int
    """The position in the program that takes its result."""
    scheduled: Scheduled[Any]
    scope: Scope | None


def _in_order(tail: list[_Last], keys: set[Hashable]) -> Iterator[_Last]:
    """Yield the statements that run last, by their order, and by the batch's order among equals."""
    for last in sorted(tail, key=lambda last: (last.order, last.position)):
        if not _is_duplicate(last.scheduled, keys):
            yield last


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
