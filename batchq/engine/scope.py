# SPDX-License-Identifier: MIT
"""Place a statement in its batch: its labels, and the mappings around it that decide a failure.

They are collected only after a failure or for ``steps(batch)``, so a batch that succeeds pays
nothing for its labels and mappings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from attrs import define, field

from batchq.language.batch import AsInvariant, Batch, Bound, Composite, Labelled, Remapped, Wrapped
from batchq.language.composites import Into
from batchq.language.each import Each
from batchq.language.fragments import title_of
from batchq.language.mapping import ErrorMapping
from batchq.language.old import Returned
from batchq.language.placement import Scheduled
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
class Declared:
    """Everything that is declared about a statement, by itself and around it."""

    title: str
    path: str
    """The labels, outermost first: ``project_create/vpc``."""
    mappings: Sequence[ErrorMapping | str]
    """Every mapping that applies, strongest first; a str is the context of an as_invariant.

    An as_invariant is as strong as its place: it turns the mappings inside it into bugs.
    """
    context: str | None
    """The context of the innermost as_invariant."""
    row_index: int | None
    """The place of its row among those of ``.each()``."""


@define(eq=False, repr=False)
class Leaf:
    """A statement as it stands in the batch: its scope, and its row if ``.each()`` gave one."""

    scope: Scope | None
    repeated: Statement[Any, Any] | None = None
    """The statement that ``.each()`` was called on."""
    row_index: int | None = None
    """The place of the row among the rows."""
    bound_row: object = None
    _declared: Declared | None = field(init=False, default=None)

    def declared(self, statement: Statement[Any, Any]) -> Declared:
        """Return what is declared about the statement that stands here, collected once."""
        if self._declared is not None:
            return self._declared
        labels: list[str] = []
        mappings: list[ErrorMapping | str] = []
        context: str | None = None
        scope = self.scope
        while scope is not None:  # outwards
            wrapper = scope.wrapper
            if isinstance(wrapper, Labelled):
                labels.append(wrapper.name)
            elif isinstance(wrapper, Remapped):
                mappings.append(wrapper.mapping)
            elif isinstance(wrapper, AsInvariant):
                mappings.append(wrapper.context)
                context = wrapper.context if context is None else context
            scope = scope.around
        shape = statement._shape
        own = [*shape.mappings(statement._raises)]
        self._declared = declared = Declared(
            title_of(shape.source),
            "/".join([*reversed(labels), *statement._labels]),
            (*reversed(mappings), *reversed(own)),
            context,
            self.row_index,
        )
        return declared


def find_leaves(batch: Batch[Any, Any]) -> list[Leaf]:
    """Return each statement of a batch, in the order of the batch."""
    found: list[Leaf] = []
    todo: list[Batch[Any, Any]] = [batch]
    scopes: list[Scope | None] = [None]  # that around each
    while todo:
        node, scope = todo.pop(), scopes.pop()
        while isinstance(node, Wrapped):
            scope = Scope(scope, node)
            node = node.inner
        if isinstance(node, (Statement, Scheduled)):
            found.append(Leaf(scope))
        elif isinstance(node, Composite):
            parts = node.labelled if isinstance(node, Into) else node.parts
            todo += parts[::-1]
            scopes += [scope] * len(parts)
        elif isinstance(node, Bound):
            todo.append(node.declaration)
            scopes.append(scope)
        elif isinstance(node, Each):
            repeated = cast("Statement[Any]", node.declared)
            found += [Leaf(scope, repeated, n, row) for n, row in enumerate(node.rows)]
    return found


@value
class PlacedStatement:
    """A statement at its place in the batch."""

    statement: Statement[Any, Any]
    """As declared: of a bound batch with parameters."""
    values: tuple[object, ...]
    leaf: Leaf
    """The statement as it stands in the batch."""
    declared: Declared
    """What is declared about it."""
    outputs: tuple[Returned, ...] = ()
    """The columns that later statements use."""
