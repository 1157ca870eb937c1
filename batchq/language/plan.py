# SPDX-License-Identifier: MIT
"""A batch laid flat: its statements in the order they run, and how their results are combined.

Both directions are walked without recursion, so nesting has no depth limit: a batch folded from ten
thousand others is as good as a flat one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from attrs import field, frozen

from batchq.language.batch import (
    AsInternal,
    Batch,
    Composite,
    Labelled,
    Placed,
    Remapped,
    Wrapped,
)
from batchq.language.mapping import Internal, Meaning, Rule
from batchq.language.matchers import Matcher
from batchq.language.outputs import refuse_needs, refuse_rows
from batchq.language.statement import Statement
from batchq.language.value import value
from batchq.language.violation import Violation


@value
class Scope:
    """One thing that was said about a part of the batch from outside, and what was said around it.

    A linked list from the inside out, shared by all statements inside.
    """

    around: Scope | None
    said: Wrapped[Any]

    def outwards(self) -> Iterator[Wrapped[Any]]:
        """What was said, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope.said
            scope = scope.around


@value
class Leaf:
    """A statement at its place in the batch, with all that was said around it."""

    statement: Statement[Any]
    scope: Scope | None
    outputs: tuple[str, ...] = ()
    """The columns that later statements use."""

    @property
    def path(self) -> str:
        """Its labels, outermost first: ``project_create/vpc``."""
        said = self.scope.outwards() if self.scope else ()
        outer = [one.name for one in said if isinstance(one, Labelled)]
        return "/".join([*reversed(outer), *self.statement.labels])

    @property
    def said(self) -> list[Rule | str]:
        """Every mapping that applies, strongest first; a string is the context of an as_internal.

        An as_internal is as strong as its place: it turns what is mapped inside it.
        """
        outer: list[Rule | str] = []
        for one in self.scope.outwards() if self.scope else ():
            if isinstance(one, Remapped):
                outer.append(one.rule)
            elif isinstance(one, AsInternal):
                outer.append(one.context)
        return [*reversed(outer), *reversed(self.statement.rules)]

    @property
    def context(self) -> str | None:
        """What is being done here, in the words of the innermost as_internal."""
        contexts = [one for one in self.said if isinstance(one, str)]
        return contexts[-1] if contexts else None

    def resolve(self, violation: Violation) -> Resolution | None:
        """Find what a violation means here: the outermost mapping that matches wins."""
        context: str | None = None
        for one in self.said:
            if isinstance(one, str):
                context = one
            elif one.matcher.matches(violation) and _is_for(violation, self.statement):
                return Resolution(one, context)
        return None


@frozen
class Resolution:
    """The rule that decides, and the innermost as_internal around it that makes it ours."""

    rule: Rule
    context: str | None

    @property
    def for_caller(self) -> Meaning | None:
        """What the caller should get; None where the failure is ours."""
        meaning = self.rule.meaning
        return None if self.context is not None or isinstance(meaning, Internal) else meaning


def _is_for(violation: Violation, statement: Statement[Any]) -> bool:
    """``missing=`` means too few rows; too many are nobody's mapping."""
    guard = statement.guard
    if violation.rows is None or guard is None:
        return True
    return violation.rows < guard.rows


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
    def leaves(self) -> list[Leaf]:
        """Each statement at its place. Made when somebody looks, which is on failure."""
        return [
            Leaf(statement, scope, self.outputs.get(index, ()))
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
            long_names += node.shape.long_names
        elif isinstance(node, Wrapped):
            todo.append((node.inner, Scope(scope, node)))
            long_names += node.long_names
        elif isinstance(node, Composite):
            parts = node.parts
            todo.append(Combine(len(parts), node.combine))
            todo.extend([(part, scope) for part in reversed(parts)])
        elif isinstance(node, Placed):
            if node.tail is not None:
                tail.append(_Last(node.tail, len(program), node, scope))
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
        long_names += last.placed.statement.shape.long_names
    return Plan(statements, scopes, program, _outputs(batch, statements), long_names)


class _Last(NamedTuple):
    """A statement that runs behind the others."""

    order: tuple[str, ...]
    wanted: int
    """Where in the program its result is wanted."""
    placed: Placed[Any]
    scope: Scope | None


def _in_order(tail: list[_Last], said: set[Hashable]) -> Iterator[_Last]:
    """What runs last, in its own order, and among equals in the order of the batch."""
    for last in sorted(tail, key=lambda last: (last.order, last.wanted)):
        if not _is_said(last.placed, said):
            yield last


def _is_said(placed: Placed[Any], said: set[Hashable]) -> bool:
    """Whether the batch has said this before; what is not said once is never said before."""
    said.discard(placed.ends)
    if placed.once is None:
        return False
    before = placed.once in said
    said.add(placed.once)
    return before


def _outputs(
    batch: Batch[Any], statements: Sequence[Statement[Any]]
) -> Mapping[int, tuple[str, ...]]:
    """Find which columns of which statements are used by those behind them."""
    for statement in statements:
        if statement.shape.takes_outputs:
            break
    else:
        return _NO_OUTPUTS
    refuse_needs(batch)
    producers: dict[Statement[Any], int] = {}
    columns: dict[int, list[str]] = {}
    for index, statement in enumerate(statements):
        for output in statement.needs:
            producer = producers[output.origin]
            refuse_rows(statements[producer])
            wanted = columns.setdefault(producer, [])
            if output.column not in wanted:
                wanted.append(output.column)
        producers[statement.origin] = index
    return {index: tuple(wanted) for index, wanted in columns.items()}


_NO_OUTPUTS: Mapping[int, tuple[str, ...]] = {}
