# SPDX-License-Identifier: MIT
"""Find the columns that statements produce for later ones of the same batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.old import Returned
from batchq.language.shape import check_single_row
from batchq.language.statement import Statement
from batchq.language.traversal import check_outputs


def produced_columns(
    batch: Batch[Any, Any],
    statements: Sequence[Statement[Any, Any]],
    shared: Mapping[object, int],
) -> Mapping[int, tuple[Returned, ...]]:
    """Return the columns that later statements use, by the statement that produces them.

    :param statements: those of the batch, in the order in which they run.
    :param shared: see :attr:`Plan.shared <batchq.engine.plan.Plan.shared>`.
    :raises InvalidBatch: for an output of a statement outside the batch, or of one that runs later.
    """
    check_outputs(batch)
    producers = dict(shared)
    columns: dict[int, list[Returned]] = {}
    for index, statement in enumerate(statements):
        for output in statement._required_outputs:
            producer = producers.get(output.identity, index)
            if producer >= index:
                raise InvalidBatch(
                    f"the output {output.column!r} is used before its statement, {output.title}, "
                    f"runs, by {statement.title}; put that statement first, or say run_first() of "
                    f"it, or run_last() of this one"
                )
            producing = statements[producer]
            check_single_row(producing._shape, producing.title)
            used = columns.setdefault(producer, [])
            if output.column not in used:
                used.append(output.column)
        producers[statement._identity] = index
    return {index: tuple(used) for index, used in columns.items()}
