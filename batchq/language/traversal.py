# SPDX-License-Identifier: MIT
"""Walking a batch while it is being composed: what is inside, before it is laid flat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batchq.language.batch import Batch, Composite, Placed, Wrapped
from batchq.language.statement import Statement


def statements(batch: Batch[Any]) -> Iterator[Statement[Any]]:
    """Every statement inside, in order, and not by recursion: nesting has no depth limit."""
    todo = [batch]
    while todo:
        node = todo.pop()
        if isinstance(node, Statement):
            yield node
        elif isinstance(node, Wrapped):
            todo.append(node.inner)
        elif isinstance(node, Composite):
            todo.extend(reversed(node.parts))
        elif isinstance(node, Placed):
            todo.append(node.statement)
