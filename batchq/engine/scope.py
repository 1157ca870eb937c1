# SPDX-License-Identifier: MIT
"""Place a statement in its batch: its labels, and the mappings around it that decide a failure.

Scopes are made only after a failure or for ``steps(batch)``, so a batch that succeeds pays nothing
for its labels and mappings.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from attrs import frozen

from batchq.language.batch import AsInvariant, Batch, Composite, Labelled, Remapped, Wrapped
from batchq.language.mapping import ErrorMapping, Invariant, Raises
from batchq.language.matchers import UNEXPECTED_ROWS, Matcher
from batchq.language.statement import Statement
from batchq.language.value import value
from batchq.language.violation import Violation


@value
class Scope:
    """One wrapper around a part of the batch, and the wrappers around that.

    A linked list from the inside out, which all statements inside share.
    """

    around: Scope | None
    wrapper: Wrapped[Any]

    def outwards(self) -> Iterator[Wrapped[Any]]:
        """Yield the wrappers, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope.wrapper
            scope = scope.around


def scopes(batch: Batch[Any]) -> list[Scope | None]:
    """Return the scope of each leaf of a batch, in order: of each batch that holds no other."""
    found: list[Scope | None] = []
    todo: list[tuple[Batch[Any], Scope | None]] = [(batch, None)]
    while todo:
        node, scope = todo.pop()
        if isinstance(node, Wrapped):
            todo.append((node.inner, Scope(scope, node)))
        elif isinstance(node, Composite):
            todo += [(part, scope) for part in reversed(node.parts)]
        else:
            found.append(scope)
    return found


@value
class PlacedStatement:
    """A statement at its place in the batch, with everything declared around it."""

    statement: Statement[Any]
    scope: Scope | None
    outputs: tuple[str, ...] = ()
    """The columns that later statements use."""

    @cached_property
    def path(self) -> str:
        """The labels, outermost first: ``project_create/vpc``."""
        wrappers = self.scope.outwards() if self.scope else ()
        outer = [wrapper.name for wrapper in wrappers if isinstance(wrapper, Labelled)]
        return "/".join([*reversed(outer), *self.statement._labels])

    @cached_property
    def mappings(self) -> list[ErrorMapping | str]:
        """Every mapping that applies, strongest first; a str is the context of an as_invariant.

        An as_invariant is as strong as its place: it turns the mappings inside it into bugs.
        """
        outer: list[ErrorMapping | str] = []
        for wrapper in self.scope.outwards() if self.scope else ():
            if isinstance(wrapper, Remapped):
                outer.append(wrapper.mapping)
            elif isinstance(wrapper, AsInvariant):
                outer.append(wrapper.context)
        return [*reversed(outer), *reversed(self.statement._mappings)]

    @cached_property
    def context(self) -> str | None:
        """The context of the innermost as_invariant."""
        contexts = [mapping for mapping in self.mappings if isinstance(mapping, str)]
        return contexts[-1] if contexts else None

    def resolve(self, violation: Violation) -> Resolution | None:
        """Return the mapping that decides a violation: the outermost one that matches."""
        context: str | None = None
        for mapping in self.mappings:
            if isinstance(mapping, str):
                context = mapping
            elif mapping.matcher.matches(violation) and _fits_row_count(
                violation, mapping.matcher, self.statement
            ):
                return Resolution(mapping, context)
        return None


@frozen
class Resolution:
    """The mapping that decides, and the context of the as_invariant that makes it a bug."""

    mapping: ErrorMapping
    context: str | None

    @property
    def for_caller(self) -> Raises | None:
        """What the caller gets; None if the failure is a bug."""
        raises = self.mapping.raises
        return None if self.context is not None or isinstance(raises, Invariant) else raises


def _fits_row_count(violation: Violation, matcher: Matcher, statement: Statement[Any]) -> bool:
    """Return False for a row-count mapping of the other direction.

    ``missing=`` maps too few rows only, ``unexpected=`` too many.
    """
    shape = statement._shape
    if violation.requirement is not None:
        return matcher is not UNEXPECTED_ROWS or shape.carries_unexpected
    if violation.rows is None or shape.guard is None:
        return True
    if matcher is UNEXPECTED_ROWS:
        return violation.rows > shape.guard.rows
    return violation.rows < shape.guard.rows
