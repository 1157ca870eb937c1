# SPDX-License-Identifier: MIT
"""A batch laid flat: its statements in the order they run, and how their results are combined.

Both directions are walked without recursion, so nesting has no depth limit: a batch folded from ten
thousand others is as good as a flat one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import field, frozen

from batchq.language.batch import AsInternal, Batch, Composite, Labelled, Remapped, Wrapped
from batchq.language.mapping import Internal, Meaning, Rule
from batchq.language.statement import Statement
from batchq.language.violation import Violation


@frozen(eq=False)
class Scope:
    """One thing that was said about a part of the batch from outside, and what was said around it.

    A linked list from the inside out, shared by all statements inside.
    """

    around: Scope | None = field(repr=False)
    said: Wrapped[Any]

    def outwards(self) -> Iterator[Wrapped[Any]]:
        """What was said, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope.said
            scope = scope.around


@frozen(eq=False)
class Leaf:
    """A statement at its place in the batch, with all that was said around it."""

    statement: Statement[Any]
    scope: Scope | None

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


@frozen(eq=False)
class Combine:
    """An instruction of a plan's program: take so many results, put back what is made of them."""

    arity: int
    function: Callable[[Sequence[Any]], Any]


@frozen(eq=False)
class Plan:
    """The statements in order, and the program, in postfix order, that combines their results."""

    statements: list[Statement[Any]]
    scopes: list[Scope | None]
    """What was said around each statement."""
    program: list[Combine | None]
    """None takes the next statement's result."""

    @property
    def leaves(self) -> list[Leaf]:
        """Each statement at its place. Made when somebody looks, which is on failure."""
        return list(map(Leaf, self.statements, self.scopes))

    def combine(self, results: Iterator[Any]) -> Any:
        """Run the program over the statements' results."""
        stack: list[Any] = []
        for instruction in self.program:
            if instruction is None:
                stack.append(next(results))
                continue
            cut = len(stack) - instruction.arity
            parts = stack[cut:]
            del stack[cut:]
            stack.append(instruction.function(parts))
        (result,) = stack
        return result


def plan(batch: Batch[Any]) -> Plan:
    """Lay a batch flat.

    :raises TypeError: for what is no batch.
    """
    statements: list[Statement[Any]] = []
    scopes: list[Scope | None] = []
    program: list[Combine | None] = []
    todo: list[tuple[Batch[Any], Scope | None] | Combine] = [(batch, None)]
    while todo:
        item = todo.pop()
        if isinstance(item, Combine):
            program.append(item)
            continue
        node, scope = item
        if isinstance(node, Statement):
            statements.append(node)
            scopes.append(scope)
            program.append(None)
        elif isinstance(node, Wrapped):
            todo.append((node.inner, Scope(scope, node)))
        elif isinstance(node, Composite):
            parts = node.parts
            todo.append(Combine(len(parts), node.combine))
            todo.extend([(part, scope) for part in reversed(parts)])
        else:
            message = (
                f"not a batch: {type(node).__name__}; make one by sql(), insert(), gather(), …"
            )
            raise TypeError(message)
    return Plan(statements, scopes, program)
