# SPDX-License-Identifier: MIT
"""Decide, message by message and without I/O, which faults a proxy injects into a flight.

A cut always leaves the same state after the same messages: the server receives the end of file, not
a reset (which would discard requests that it has not read yet), and the client's connection breaks
only after the server has ended its session. So a client can read the tables as soon as its
connection breaks.
"""

from __future__ import annotations

import attrs

__all__ = ["Faults"]

_READY_FOR_QUERY = "Z"


@attrs.define
class Faults:
    """Faults of one connection, from its next flight on.

    :ivar hold: hold the answers back until this many ReadyForQuery are among them.
    :ivar answers: number of answers that the client still gets before the cut; `None` for no cut.
    :ivar requests: number of requests that the server still gets before the cut; `None` for no cut.
    :ivar final_messages: bytes that the client gets after its last answer.
    :ivar quiet: forward nothing more instead of cutting: neither side gets an end of file.
    :ivar cut: True once the cut is made; every later message is dropped.
    """

    hold: int = 0
    answers: int | None = None
    requests: int | None = None
    final_messages: bytes = b""
    quiet: bool = False
    cut: bool = False
    _held: list[tuple[str, bytes]] = attrs.field(factory=list[tuple[str, bytes]], init=False)

    @property
    def withholding(self) -> bool:
        """True while the client gets no answers, and must get an error if it waits too long."""
        return not self.cut and not self.quiet and (self.hold > 0 or self.requests is not None)

    def request(self) -> bool:
        """Handle a message from the client; return True if it is forwarded."""
        if self.cut:
            return False
        if self.requests is None:
            return True
        forwarded = self.requests > 0
        self.requests -= forwarded
        self.cut = self.requests == 0
        return forwarded

    def answer(self, kind: str, message: bytes) -> list[tuple[str, bytes]]:
        """Handle a message from the server; return the messages to forward now."""
        if self.cut or self.requests is not None:
            return []
        self._held.append((kind, message))
        if self.hold and kind == _READY_FOR_QUERY:
            self.hold -= 1
        return [] if self.hold else self.release()

    def release(self) -> list[tuple[str, bytes]]:
        """Stop holding answers back; return the messages to forward now."""
        self.hold = 0
        released, self._held = self._held, []
        if self.cut or self.answers is None:
            return [] if self.cut else released
        forwarded = released[: self.answers]
        self.answers -= len(forwarded)
        self.cut = self.answers == 0
        return forwarded
