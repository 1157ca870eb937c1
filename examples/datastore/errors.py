# SPDX-License-Identifier: MIT
"""The service's own exceptions: what a caller did, and the HTTP status that tells them.

They know nothing of databases. Everything else that is raised is a 500.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A request that cannot be fulfilled, for a reason that the caller may know."""

    status: ClassVar[int]
    words: ClassVar[str]

    def __init__(self, kind: str, which: object) -> None:
        super().__init__(kind, which)
        self.kind = kind
        self.which = which

    def __str__(self) -> str:
        """Say it as the response would: ``already exists: project "web"``."""
        return f'{self.words}: {self.kind} "{self.which}"'


class NotFound(ServiceError):
    """There is no such thing, or no longer."""

    status = 404
    words = "not found"


class AlreadyExists(ServiceError):
    """The name is taken."""

    status = 400
    words = "already exists"


class Refused(ServiceError):
    """It cannot be done as things are; the text says why."""

    status = 400

    def __init__(self, why: str) -> None:
        super().__init__("request", why)

    def __str__(self) -> str:
        """Say why, and no more."""
        return str(self.which)


class VpcHasSubnets(Refused):
    """A VPC cannot be deleted while there are subnets in it: machines may be in use there."""


class LimitExceeded(ServiceError):
    """There is room for no more."""

    status = 507
    words = "limit exceeded"
