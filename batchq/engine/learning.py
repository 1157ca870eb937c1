# SPDX-License-Identifier: MIT
"""Keep what the answers to batches show for the next ones on the connection.

That is which of their statements are prepared, by which types, and how to send a batch like them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from batchq.engine.outcome.stale import learn

if TYPE_CHECKING:
    from batchq.engine.ready import Ready
    from batchq.engine.wire.deadline import Deadline
    from batchq.engine.wire.exchange import Slots
    from batchq.engine.wire.flight import Flight
    from batchq.engine.wire.frame import Frame


class Sent(Protocol):
    """A batch that was laid out and sent, and whose verdict is decided."""

    ready: Ready
    frame: Frame
    sent: Flight
    slots: Slots
    deadline: Deadline | None
    is_well: bool


def learn_from(batches: Sequence[Sent]) -> None:
    """Keep what the answers to the batches of one flight show.

    :param batches: those that were laid out for it.
    """
    state, adapters = batches[0].ready.state, batches[0].ready.kept.transformer.adapters
    sent = [(batch.sent, batch.slots.answers) for batch in batches]
    learn(state.statements, sent, adapters, well=any(batch.is_well for batch in batches))
    for batch in batches:
        ready, frame = batch.ready, batch.frame
        # A batch that failed was sent by names that hold as well; if not, they are given up.
        if batch.deadline is None and ready.encoded.program.is_kept:
            barrier = ready.dialect.barrier and not frame.nested
            state.remember(batch.sent, ready.encoded, frame, barrier=barrier)
