# SPDX-License-Identifier: MIT
"""Traverse a batch: its statements, and the outputs that it requires from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.placement import Scheduled
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.language.tree import leaves

if TYPE_CHECKING:
    from batchq.language.outputs import Output


def statements(batch: Batch[Any, Any]) -> Iterator[Statement[Any]]:
    """Yield every statement in order."""
    for leaf in leaves(batch):
        yield from cast("Sequence[Statement[Any]]", leaf._statements)


def checked_parts(
    call: str, parts: Sequence[Batch[Any, Any]], named: int = 0
) -> tuple[Output, ...]:
    """Return the outputs that these parts, run in this order, require from earlier statements.

    :param call: the call that they were passed to, for the text of an error: ``"gather()"``.
    :param named: the place of the first one with a name, from which these are counted.
    :raises InvalidBatch: if one is not a batch, or uses an output before its statement runs.
    """
    flows = False  # in nearly every batch
    for part in parts:
        if type(part) is Statement:  # which is asked by its shape, and is faster
            flows |= part._shape.takes_outputs
        elif isinstance(part, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]  an argument
            flows |= part._required_outputs != ()
        else:
            raise _not_a_batch(call, parts, named)
    return _unmet_outputs(parts) if flows else ()


def _not_a_batch(call: str, parts: Sequence[object], named: int) -> InvalidBatch:
    places = chain(range(named), range(len(parts) - named))
    place, kind = next(
        (place, type(part))
        for place, part in zip(places, parts, strict=True)
        if not isinstance(part, Batch)
    )
    return InvalidBatch(
        f"{call}: item {place} is {with_article(kind)}; pass statements and batches only"
    )


def _unmet_outputs(parts: Sequence[Batch[Any, Any]]) -> tuple[Output, ...]:
    runs: dict[object, int] = {}
    for index, part in enumerate(parts):
        for statement in statements(part):
            runs.setdefault(statement._identity, index)
    unmet: list[Output] = []
    for index, part in enumerate(parts):
        for output in part._required_outputs:
            producer = runs.get(output.identity)
            if producer is None:
                unmet.append(output)
            elif producer >= index and not any(map(_is_moved, parts)):
                raise InvalidBatch(
                    f"the output {output.column!r} is used before its statement, {output.title}, "
                    f"runs; put that statement first"
                )
    return tuple(unmet)


def _is_moved(part: Batch[Any, Any]) -> bool:
    """Return whether a statement does not run at its place: only the plan shows the order."""
    return any(
        isinstance(leaf, Scheduled) and (leaf.is_first or leaf.last_key is not None)
        for leaf in leaves(part)
    )


def check_outputs(batch: Batch[Any, Any]) -> None:
    """Reject a batch that requires outputs of statements it does not contain.

    :raises InvalidBatch: with the first such output.
    """
    for output in batch._required_outputs:
        raise InvalidBatch(
            f"the output {output.column!r} of {output.title} is used, but that statement is not in "
            f"the batch; gather() it before the statement that uses it"
        )
