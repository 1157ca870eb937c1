# SPDX-License-Identifier: MIT
"""Define the errors of limits, each raised with the BatchError as its ``__cause__``.

Scope and id are attributes and not part of the text: not every reader of a message may know which
silo or fleet is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from batchq.language.outputs import Output


class LimitExceeded(Exception):
    """A charge or resize would exceed a limit. The text has the resource and the amount."""

    def __init__(self, resource: str, scope: UUID, requested: int) -> None:
        super().__init__(resource, scope, requested)
        self.resource = resource
        """The resource that is counted: ``"vpcs"``."""
        self.scope = scope
        """The scope whose limit would be exceeded; with several scopes, the first of them."""
        self.requested = requested
        """The amount to charge, or the new amount of a resize."""

    def __str__(self) -> str:
        """Return the resource and the amount, without the scope."""
        return f"the limit of {self.resource} leaves no room for {self.requested}"


class LimitMissing(Exception):
    """The limit is not set, not even to unlimited. Set it by :meth:`Limits.set_limit`."""

    def __init__(self, resource: str, scope: UUID) -> None:
        super().__init__(resource, scope)
        self.resource = resource
        self.scope = scope

    def __str__(self) -> str:
        """Return the resource, without the scope."""
        return f"no limit of {self.resource} is set in this scope"


class NotCharged(Exception):
    """The resource to resize was never charged, or has been released."""

    def __init__(self, resource: str, scope: UUID, id: UUID | Output) -> None:
        super().__init__(resource, scope, id)
        self.resource = resource
        self.scope = scope
        self.id = id

    def __str__(self) -> str:
        """Return the resource, without the scope."""
        return f"{self.resource}: nothing is charged, so nothing can be resized"
