# SPDX-License-Identifier: MIT
"""The service's own exceptions, each with its HTTP status.

They know nothing of databases. Any other exception is reported as status 500.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A request that failed for a reason that the caller may see."""

    status: ClassVar[int]
    words: ClassVar[str]

    def __init__(self, kind: str, which: object) -> None:
        super().__init__(kind, which)
        self.kind = kind
        self.which = which

    def __str__(self) -> str:
        """Return the text of the response: ``already exists: project "web"``."""
        return f'{self.words}: {self.kind} "{self.which}"'


class NotFound(ServiceError):
    """The object does not exist, or is deleted."""

    status = 404
    words = "not found"


class AlreadyExists(ServiceError):
    """The name is taken."""

    status = 400
    words = "already exists"


class Refused(ServiceError):
    """The request conflicts with the current state; the text has the reason."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__("request", reason)

    def __str__(self) -> str:
        """Return the reason alone."""
        return str(self.which)


class VpcHasSubnets(Refused):
    """A VPC cannot be deleted while it has subnets: machines may be in use there."""


class LimitExceeded(ServiceError):
    """A limit is reached."""

    status = 507
    words = "limit exceeded"
