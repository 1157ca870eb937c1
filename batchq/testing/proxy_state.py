# SPDX-License-Identifier: MIT
"""State that all connections through a proxy share."""

from __future__ import annotations

import threading

import attrs

from batchq.testing.delayed_pipe import DelayedPipe
from batchq.testing.faults import Faults
from batchq.testing.recording import Recording

__all__ = ["ProxyState"]


@attrs.define
class ProxyState:
    """State that the relays of a proxy share: its recordings, the armed faults, the silence.

    `lock` guards all of it, and the order in which messages are recorded and forwarded.
    """

    delay: float
    timeout: float
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    recordings: list[Recording] = attrs.field(factory=list[Recording])
    armed: Faults | None = None
    silent: bool = False
    silences: int = 0
    silenced: threading.Event = attrs.field(factory=threading.Event)

    def silence(self, pipe: DelayedPipe) -> None:
        """Forward nothing more, on existing and on new connections.

        `silenced` is set after the last forwarded message was sent.
        """
        self.silent = True
        self.silences += 1
        pipe.call(self.silenced.set)
