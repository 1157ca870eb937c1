# SPDX-License-Identifier: MIT
"""Walk the tree of a batch without recursion: nesting has no depth limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Protocol, TypeVar, cast

from batchq.language.partial import Replacements
from batchq.language.takes import HasValues, Takes, takes_of


class Node(Protocol):
    """The part of a batch that is walked; see :class:`~batchq.Batch`."""

    _declared: tuple[Sequence[HasValues], Takes]

    @property
    def _inner(self) -> tuple[Any, ...] | None: ...
    @property
    def _expanded(self) -> tuple[Any, ...] | None: ...
    @property
    def _statements(self) -> Sequence[HasValues]: ...
    def _with_inner(self, inner: tuple[Any, ...]) -> Any: ...
    def _replaced(self, replace: Replacements, /) -> Any: ...


Tree = TypeVar("Tree", bound=Node)


def leaves(batch: Tree) -> Iterator[Tree]:
    """Yield the batches inside that hold no other, in order; those of a bound one as built."""
    return _leaves(batch, attrgetter("_expanded"))


def _leaves(batch: Tree, inside: Callable[[Tree], tuple[Tree, ...] | None]) -> Iterator[Tree]:
    todo = [batch]
    while todo:
        node = todo.pop()
        inner = inside(node)
        if inner is None:
            yield node
        else:
            todo.extend(reversed(inner))


def declared(batch: Node, call: str) -> tuple[Sequence[HasValues], Takes]:
    """Return the statements of a declaration that may have parameters, and what it takes.

    It is found once, and lives as long as the declaration.

    :param call: the call that needs it, for the text of an error: ``"bind()"``.
    :raises InvalidBatch: for rows of two classes, or two parameters of one name.
    """
    try:
        return batch._declared
    except AttributeError:
        # What is bound already takes nothing, so it is not looked into.
        unbound = _leaves(batch, attrgetter("_inner"))
        found = tuple([each for leaf in unbound for each in leaf._statements])
        batch._declared = found, takes_of(call, found)
        return batch._declared


def substituted(batch: Tree, replace: Replacements) -> Tree:
    """Return a batch with values in the place of parameters."""
    done: list[Any] = []
    todo: list[tuple[Node, bool]] = [(batch, False)]
    while todo:
        node, has_inner = todo.pop()
        inner = node._inner
        if inner is None:
            done.append(node._replaced(replace))
        elif has_inner:
            cut = len(done) - len(inner)
            done[cut:] = [node._with_inner(tuple(done[cut:]))]
        else:
            todo.append((node, True))
            todo += [(part, False) for part in reversed(inner)]
    (result,) = done
    return cast("Tree", result)
