# SPDX-License-Identifier: MIT
"""A batch laid flat: its statements in the order they run, and how their results are combined.

Both directions are walked without recursion, so nesting has no depth limit: a batch folded from ten
thousand others is as good as a flat one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen

from batchq.language.batch import AsInternal, Batch, Composite, Labelled, Remapped
from batchq.language.mapping import Rule
from batchq.language.statement import Statement
from batchq.language.violation import Violation


@frozen(eq=False)
class Scope:
    """One thing that was said about a part of the batch from outside, and what was said around it.

    A linked list from the inside out, shared by all statements inside.
    """

    around: Scope | None
    said: Labelled[Any] | Remapped[Any] | AsInternal[Any]

    def outwards(self) -> Iterator[Labelled[Any] | Remapped[Any] | AsInternal[Any]]:
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
            elif one.matcher.matches(violation) and _is_for(one, violation, self.statement):
                return Resolution(one, context)
        return None


@frozen
class Resolution:
    """The rule that decides, and the innermost as_internal around it that makes it ours."""

    rule: Rule
    context: str | None


def _is_for(one: Rule, violation: Violation, statement: Statement[Any]) -> bool:
    """``missing=`` means too few rows; too many are nobody's mapping."""
    guard = statement.guard
    if violation.rows is None or guard is None:
        return True
    return violation.rows < guard.rows


Combine = Callable[[Sequence[Any]], Any]


@frozen(eq=False)
class Plan:
    """The leaves in order, and the program that makes one result of theirs, in postfix order.

    An instruction is None (push the next statement's result) or a pair: pop so many results, push
    what the function makes of them.
    """

    leaves: list[Leaf]
    program: list[tuple[int, Combine] | None]

    def combine(self, results: Iterator[Any]) -> Any:  # noqa: ANN401  the batch's own type
        """Run the program over the statements' results."""
        stack: list[Any] = []
        for instruction in self.program:
            if instruction is None:
                stack.append(next(results))
                continue
            arity, function = instruction
            cut = len(stack) - arity
            parts = stack[cut:]
            del stack[cut:]
            stack.append(function(parts))
        (result,) = stack
        return result


def plan(batch: Batch[Any]) -> Plan:
    """Lay a batch flat."""
    leaves: list[Leaf] = []
    program: list[tuple[int, Combine] | None] = []
    todo: list[tuple[Batch[Any], Scope | None] | tuple[int, Combine]] = [(batch, None)]
    while todo:
        head, tail = todo.pop()
        if isinstance(head, int):
            program.append((head, tail))  # type: ignore[arg-type]
        elif isinstance(head, Statement):
            leaves.append(Leaf(head, tail))  # type: ignore[arg-type]
            program.append(None)
        elif isinstance(head, Composite):
            parts = head.parts
            todo.append((len(parts), head.combine))
            todo.extend([(part, tail) for part in reversed(parts)])  # type: ignore[misc]
        else:
            todo.append((head.inner, Scope(tail, head)))  # type: ignore[attr-defined,arg-type]
    return Plan(leaves, program)
