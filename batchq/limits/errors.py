# SPDX-License-Identifier: MIT
"""Define the errors of limits, each raised with the BatchError as its ``__cause__``.

Scope and id are attributes and not part of the text: not every reader of a message may know which
silo or fleet is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import UUID

from batchq.language.parameters import Parameter

if TYPE_CHECKING:
    from batchq.language.mapping import Raises
    from batchq.language.outputs import Output
    from batchq.language.violation import Violation
    from batchq.limits.tables import Scope


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


# What is raised if the caller gives nothing else. The value of a parameter is not known before it
# is bound, so the exception is then made of the violation.


def when_exceeded(given: Raises | None, resource: str, scope: Scope, amount: int) -> Raises:
    """Return what to raise if a limit is exceeded."""
    if given is None and isinstance(scope, Parameter):

        def limit_exceeded(violation: Violation) -> LimitExceeded:
            return LimitExceeded(resource, violation.values["scope"], amount)

        return limit_exceeded
    return given if given is not None else LimitExceeded(resource, cast("UUID", scope), amount)


def when_missing(given: Raises | None, resource: str, scope: Scope) -> Raises:
    """Return what to raise if a limit is not set."""
    if given is None and isinstance(scope, Parameter):

        def limit_missing(violation: Violation) -> LimitMissing:
            return LimitMissing(resource, violation.values["scope_id"])

        return limit_missing
    return given if given is not None else LimitMissing(resource, cast("UUID", scope))


def when_not_charged(
    given: Raises | None, resource: str, scope: Scope, id: UUID | Output | Parameter
) -> Raises:
    """Return what to raise if nothing is charged."""
    if given is not None:
        return given
    if isinstance(scope, Parameter) or isinstance(id, Parameter):

        def not_charged(violation: Violation) -> NotCharged:
            values = violation.values
            return NotCharged(resource, values["scope"], values.get("id", id))

        return not_charged
    return NotCharged(resource, scope, id)
