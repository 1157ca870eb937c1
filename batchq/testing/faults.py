# SPDX-License-Identifier: MIT
"""What a proxy makes go wrong with a flight, decided message by message and free of I/O.

A cut is made so that the same messages always leave the same state behind: the server is sent the
end of the file, not a reset (which would throw away requests it has not read yet), and the client
learns of the cut only when the server has ended its session. So whoever sees the connection break
can look at the tables right away.
"""

from __future__ import annotations

import attrs

__all__ = ["Faults"]

_READY_FOR_QUERY = "Z"


@attrs.define
class Faults:
    """What is to happen to one connection's messages from its next flight on.

    Attributes:
        hold: withhold the answers until there were this many ReadyForQuery among them.
        answers: how many answers the client still gets before the cut; `None` for no cut.
        requests: how many requests the server still gets before the cut; `None` for no cut.
        last_words: bytes the client gets behind its last answer.
        quiet: whether there is silence instead of the cut: nobody is told that no more will come.
        cut: the cut is made; everything from now on is dropped.
    """

    hold: int = 0
    answers: int | None = None
    requests: int | None = None
    last_words: bytes = b""
    quiet: bool = False
    cut: bool = False
    _held: list[tuple[str, bytes]] = attrs.field(factory=list[tuple[str, bytes]], init=False)

    @property
    def withholding(self) -> bool:
        """Whether the client is left without answers, and has to be told so in the end."""
        return not self.cut and not self.quiet and (self.hold > 0 or self.requests is not None)

    def request(self) -> bool:
        """A message from the client came: whether it is forwarded."""
        if self.cut:
            return False
        if self.requests is None:
            return True
        forwarded = self.requests > 0
        self.requests -= forwarded
        self.cut = self.requests == 0
        return forwarded

    def answer(self, kind: str, message: bytes) -> list[tuple[str, bytes]]:
        """A message from the server came: the ones that are now forwarded."""
        if self.cut or self.requests is not None:
            return []
        self._held.append((kind, message))
        if self.hold and kind == _READY_FOR_QUERY:
            self.hold -= 1
        return [] if self.hold else self.release()

    def release(self) -> list[tuple[str, bytes]]:
        """What was withheld and is now forwarded; there is no more to wait for."""
        self.hold = 0
        released, self._held = self._held, []
        if self.cut or self.answers is None:
            return [] if self.cut else released
        forwarded = released[: self.answers]
        self.answers -= len(forwarded)
        self.cut = self.answers == 0
        return forwarded
