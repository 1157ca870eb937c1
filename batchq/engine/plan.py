# SPDX-License-Identifier: MIT
"""A batch laid flat: its statements in the order they run, and how their results are combined.

Both directions are walked without recursion, so nesting has no depth limit: a batch folded from ten
thousand others is as good as a flat one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from attrs import field

from batchq.engine.scope import PlacedStatement, Scope
from batchq.language.batch import Batch, Composite, Wrapped
from batchq.language.matchers import Matcher
from batchq.language.placement import Scheduled
from batchq.language.statement import Statement, check_single_row
from batchq.language.traversal import check_outputs
from batchq.language.value import value


@value
class Combine:
    """An instruction of a plan's program: take so many results, put back what is made of them."""

    arity: int
    function: Callable[[Sequence[Any]], Any]


@value
class Plan:
    """The statements in order, and the program, in postfix order, that combines their results."""

    statements: list[Statement[Any]]
    scopes: list[Scope | None]
    """What was said around each statement."""
    program: list[Combine | int]
    """A number takes the result of that statement."""
    outputs: Mapping[int, tuple[str, ...]]
    """The columns that later statements use, for each statement that has any."""
    long_names: list[Matcher] = field(factory=list[Matcher])
    """What is mapped by names that may be too long for the server."""

    @property
    def placed(self) -> list[PlacedStatement]:
        """Each statement at its place. Made on failure only."""
        return [
            PlacedStatement(statement, scope, self.outputs.get(index, ()))
            for index, (statement, scope) in enumerate(
                zip(self.statements, self.scopes, strict=True)
            )
        ]

    def combine(self, results: Sequence[Any]) -> Any:
        """Run the program over the statements' results."""
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
"""The result of a statement that has run already."""


def plan(batch: Batch[Any]) -> Plan:
    """Lay a batch flat.

    :raises TypeError: for what is no batch.
    :raises InvalidBatch: for one that uses an output of a statement outside.
    """
    statements: list[Statement[Any]] = []
    scopes: list[Scope | None] = []
    program: list[Combine | int] = []
    said: set[Hashable] = set()
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
            elif _is_said(node, said):
                program.append(_NOTHING)
            else:
                todo.append((node.statement, scope))
        else:
            message = (
                f"not a batch: {type(node).__name__}; make one by sql(), insert(), gather(), …"
            )
            raise TypeError(message)
    for last in _in_order(tail, said):
        program[last.wanted] = len(statements)
        statements.append(last.placed.statement)
        scopes.append(last.scope)
        long_names += last.placed.statement._shape.long_names
    return Plan(statements, scopes, program, _outputs(batch, statements), long_names)


class _Last(NamedTuple):
    """A statement that runs behind the others."""

    order: tuple[str, ...]
    wanted: int
    """Where in the program its result is wanted."""
    placed: Scheduled[Any]
    scope: Scope | None


def _in_order(tail: list[_Last], said: set[Hashable]) -> Iterator[_Last]:
    """What runs last, in its own order, and among equals in the order of the batch."""
    for last in sorted(tail, key=lambda last: (last.order, last.wanted)):
        if not _is_said(last.placed, said):
            yield last


def _is_said(placed: Scheduled[Any], said: set[Hashable]) -> bool:
    """Whether the batch has said this before; what is not said once is never said before."""
    said.discard(placed.resets)
    if placed.dedupe_key is None:
        return False
    before = placed.dedupe_key in said
    said.add(placed.dedupe_key)
    return before


def _outputs(
    batch: Batch[Any], statements: Sequence[Statement[Any]]
) -> Mapping[int, tuple[str, ...]]:
    """Find which columns of which statements are used by those behind them."""
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
            check_single_row(statements[producer])
            wanted = columns.setdefault(producer, [])
            if output.column not in wanted:
                wanted.append(output.column)
        producers[statement._identity] = index
    return {index: tuple(wanted) for index, wanted in columns.items()}


_NO_OUTPUTS: Mapping[int, tuple[str, ...]] = {}
