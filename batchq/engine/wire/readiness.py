# SPDX-License-Identifier: MIT
"""Whether a connection is in a state to begin a batch, and reads its texts as batchq does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg.pq import PipelineStatus, TransactionStatus

from batchq.engine.step import PlacedStep
from batchq.language.errors import InvalidBatch

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from batchq.engine.plan import Plan
    from batchq.engine.wire.encode import Encoded
    from batchq.engine.wire.frame import Frame

_ESCAPES = (
    "a plain string in its SQL has a backslash, which means another thing on this session: "
    "standard_conforming_strings is off. Write E'…', pass it as a parameter, or turn that on"
)


def check_state(pg: PGconn, frame: Frame) -> None:
    """Refuse a connection that is in the midst of something else.

    :raises InvalidBatch: saying what to do first.
    """
    if pg.pipeline_status != PipelineStatus.OFF:
        message = "the connection is in pipeline mode: leave `with conn.pipeline()` first"
        raise InvalidBatch(message)
    status = pg.transaction_status
    if frame.nested and status != TransactionStatus.INTRANS:
        message = (
            "nested=True needs an open transaction, as in `with conn.transaction()`; "
            f"the connection is {TransactionStatus(status).name}"
        )
        raise InvalidBatch(message)
    if not frame.nested and status != TransactionStatus.IDLE:
        message = (
            f"the connection is {TransactionStatus(status).name}, not IDLE: commit or roll back "
            "first, or pass nested=True to be part of the open transaction"
        )
        raise InvalidBatch(message)


def check_backslashes(plan: Plan, steps: Sequence[Encoded]) -> None:
    """Refuse a text that this session reads otherwise than batchq has.

    :raises InvalidBatch: naming the first such statement.
    """
    for index, step in enumerate(steps):
        if step.compiled.has_backslash:
            place = PlacedStep(index, plan.placed[index])
            raise InvalidBatch(f"{place}: {_ESCAPES}", step=place)
