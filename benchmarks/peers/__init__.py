# SPDX-License-Identifier: MIT
"""The ways to do the same work, each written as its own documentation would write it.

A peer is opened on a :class:`~benchmarks.scene.Scene`, on one connection, and has a method for each
workload that it can do. Such a method does the calls of the numbers it is given, one after the
other, so that what has a loop or a process of its own enters it once a turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol, Self, runtime_checkable
from uuid import UUID, uuid4

from benchmarks.scene import At, Scene
from examples.datastore.errors import ServiceError
from examples.datastore.models import NewProject


class Peer(Protocol):
    """A way to do the work."""

    name: ClassVar[str]

    @classmethod
    def opened(cls, scene: Scene, /) -> AbstractContextManager[Self]:
        """Connect, and set up what is set up once."""
        ...


@runtime_checkable
class CreatesProjects(Protocol):
    """Can create a project: the example's eight statements."""

    def project_create(self, numbers: range, /) -> float | None:
        """Create the projects of these numbers.

        :return: the seconds that one took by a clock of its own; None when it has none.
        """
        ...


@runtime_checkable
class FailsToCreate(CreatesProjects, Protocol):
    """Can also fail to create one, leave nothing behind, and say why."""

    told: set[str]
    """What its failures were: see :func:`told`."""

    def fail(self, numbers: range, at: At, /) -> float | None:
        """Try to create the projects of these numbers; as ``project_create``."""
        ...


def creates_projects(peer: object) -> CreatesProjects | None:
    """A peer that has that workload; None for one that has not."""
    return peer if isinstance(peer, CreatesProjects) else None


def fails_to_create(peer: object) -> FailsToCreate | None:
    """A peer that has that workload; None for one that has not."""
    return peer if isinstance(peer, FailsToCreate) else None


class OneByOne(ABC):
    """The workloads of a peer that creates a project a call."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.told: set[str] = set()

    @abstractmethod
    def create(self, new: NewProject, router_id: UUID) -> object:
        """Create a project whose default VPC's router has this id.

        :raises ServiceError: as the service would.
        """

    def project_create(self, numbers: range) -> None:
        """Create the projects of these numbers."""
        for number in numbers:
            self.create(self.scene.project(number), uuid4())

    def fail(self, numbers: range, at: At) -> None:
        """Try to create the projects of these numbers."""
        for number in numbers:
            try:
                self.create(*self.scene.failing(number, at))
            except Exception as error:  # noqa: BLE001  looked at by whoever reads `told`
                self.told.add(told(error))


class Internal(Exception):
    """A failure that no caller can help; batchq calls it InvariantViolation."""


def told(error: Exception) -> str:
    """What a failure was: the service's own exception, or the constraint of one that it has not."""
    if isinstance(error, ServiceError):
        return type(error).__name__
    return str(error) if isinstance(error, Internal) else repr(error)


TOLD: dict[At, str] = {"first": "NotFound", "middle": "vpc_router_pkey", "last": "LimitExceeded"}
"""What all peers have to say where a project fails."""
