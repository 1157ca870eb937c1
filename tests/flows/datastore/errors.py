# SPDX-License-Identifier: MIT
"""What a caller is told, and the HTTP status that tells them. Whatever else is raised is a 500."""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A request that cannot be fulfilled, for a reason that the caller may know."""

    status: ClassVar[int]


class NotFound(ServiceError):
    """There is no such thing, or no longer."""

    status = 404

    def __init__(self, kind: str, id: object) -> None:
        super().__init__(f'not found: {kind} with id "{id}"')


class AlreadyExists(ServiceError):
    """The name is taken. Not a 409: that is what this service has always answered."""

    status = 400

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f'already exists: {kind} "{name}"')


class InvalidRequest(ServiceError):
    """It cannot be done as things are; the text says why."""

    status = 400


class InsufficientCapacity(ServiceError):
    """There is no room for it."""

    status = 507
