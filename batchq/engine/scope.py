# SPDX-License-Identifier: MIT
"""Place a statement in its batch: its labels, and the mappings around it that decide a failure.

They are collected only after a failure or for ``steps(batch)``, so a batch that succeeds pays
nothing for its labels and mappings.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from batchq.language.batch import AsInvariant, Batch, Bound, Composite, Labelled, Remapped, Wrapped
from batchq.language.composites import Into
from batchq.language.each import Each
from batchq.language.mapping import ErrorMapping
from batchq.language.old import Returned
from batchq.language.statement import Statement
from batchq.language.value import value


@value
class Scope:
    """One wrapper around a part of the batch, and the wrappers around that.

    A linked list from the inside out, which all statements inside share.
    """

    around: Scope | None
    wrapper: Wrapped[Any]


@value
class Leaf:
    """A statement as it stands in the batch: its scope, and its row if ``.each()`` gave one."""

    scope: Scope | None
    repeated: Statement[Any, Any] | None = None
    """The statement that ``.each()`` was called on."""
    row_index: int | None = None
    """The place of the row among the rows."""
    bound_row: object = None


@value
class Scopes:
    """The scopes in one batch."""

    batch: Batch[Any]

    @cached_property
    def leaves(self) -> list[Leaf]:
        """Each statement, in the order of the batch."""
        found: list[Leaf] = []
        todo: list[tuple[Batch[Any], Scope | None]] = [(self.batch, None)]
        while todo:
            node, scope = todo.pop()
            if isinstance(node, Wrapped):
                todo.append((node.inner, Scope(scope, node)))
            elif isinstance(node, Composite):
                parts = node.labelled if isinstance(node, Into) else node.parts
                todo += [(part, scope) for part in reversed(parts)]
            elif isinstance(node, Bound):
                todo.append((node.declaration, scope))
            elif isinstance(node, Each):
                repeated = cast("Statement[Any]", node.declared)
                found += [Leaf(scope, repeated, n, row) for n, row in enumerate(node.rows)]
            else:
                found.append(Leaf(scope))
        return found


@value
class Declared:
    """Everything that is declared about a statement, by itself and around it."""

    title: str
    path: str
    """The labels, outermost first: ``project_create/vpc``."""
    mappings: list[ErrorMapping | str]
    """Every mapping that applies, strongest first; a str is the context of an as_invariant.

    An as_invariant is as strong as its place: it turns the mappings inside it into bugs.
    """
    context: str | None
    """The context of the innermost as_invariant."""
    row_index: int | None
    """The place of its row among those of ``.each()``."""


@value
class PlacedStatement:
    """A statement at its place in the batch."""

    statement: Statement[Any, Any]
    """As declared: of a bound batch with parameters."""
    values: tuple[object, ...]
    scopes: Scopes
    index: int
    """Its index among the leaves."""
    outputs: tuple[Returned, ...] = ()
    """The columns that later statements use."""

    @property
    def leaf(self) -> Leaf:
        """The statement as it stands in the batch."""
        return self.scopes.leaves[self.index]

    @cached_property
    def declared(self) -> Declared:
        """What is declared about it, collected once and only if it is needed."""
        labels: list[str] = []
        mappings: list[ErrorMapping | str] = []
        context: str | None = None
        leaf = self.leaf
        scope = leaf.scope
        while scope is not None:  # outwards
            match scope.wrapper:
                case Labelled(name=name):
                    labels.append(name)
                case Remapped(mapping=mapping):
                    mappings.append(mapping)
                case AsInvariant(context=invariant):
                    mappings.append(invariant)
                    context = invariant if context is None else context
                case _:
                    pass
            scope = scope.around
        statement = self.statement
        return Declared(
            title=statement.title,
            path="/".join([*reversed(labels), *statement._labels]),
            mappings=[*reversed(mappings), *reversed(statement._mappings)],
            context=context,
            row_index=leaf.row_index,
        )
