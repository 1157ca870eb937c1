# SPDX-License-Identifier: MIT
"""What a caller of limits can run into. The report, a BatchError, is each one's ``__cause__``.

Scope and id are attributes and not part of the text: which silo or fleet was full is not for every
reader of a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from batchq.language.outputs import Output


class LimitExceeded(Exception):
    """There is no room in a limit. The text names the resource and the amount asked for."""

    def __init__(self, resource: str, scope: UUID, requested: int) -> None:
        super().__init__(resource, scope, requested)
        self.resource = resource
        """What is counted, ``"vpcs"``."""
        self.scope = scope
        """Whose limit it is: of several levels, the one that is full."""
        self.requested = requested
        """The amount asked for: what was to be charged, or the new size of a resize."""

    def __str__(self) -> str:
        """Say what was asked for, and not of whom."""
        return f"the limit of {self.resource} leaves no room for {self.requested}"


class LimitMissing(Exception):
    """Nobody has set this limit, not even to unlimited."""

    def __init__(self, resource: str, scope: UUID) -> None:
        super().__init__(resource, scope)
        self.resource = resource
        self.scope = scope

    def __str__(self) -> str:
        """Name the resource."""
        return f"no limit of {self.resource} is set in this scope"


class NotCharged(Exception):
    """What is to be resized was never charged, or has been released."""

    def __init__(self, resource: str, scope: UUID, id: UUID | Output) -> None:
        super().__init__(resource, scope, id)
        self.resource = resource
        self.scope = scope
        self.id = id

    def __str__(self) -> str:
        """Name the resource."""
        return f"{self.resource}: nothing is charged that could be resized"
