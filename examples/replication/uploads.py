# SPDX-License-Identifier: MIT
"""The artifacts that this process has received and still holds, until the depots have enough."""

from __future__ import annotations

from threading import Lock

from attrs import define, field, frozen

from examples.replication.planning import Listings, is_safe
from examples.replication.wanted import Wanted


@frozen
class Upload:
    """Artifacts that were received together, and whose files are deleted together."""

    generation: int
    """The generation of the set that wants them."""
    artifacts: frozenset[str]


@define(eq=False)
class Uploads:
    """The uploads of this process. Requests add some while an activation runs."""

    _held: list[Upload] = field(init=False, factory=list[Upload])
    _lock: Lock = field(init=False, factory=Lock)

    def hold(self, upload: Upload) -> None:
        """Hold an upload whose artifacts are wanted already."""
        with self._lock:
            self._held.append(upload)

    @property
    def artifacts(self) -> frozenset[str]:
        """Return all artifacts that this process can send."""
        with self._lock:
            return frozenset().union(*(upload.artifacts for upload in self._held))

    def drop(self, wanted: Wanted, listings: Listings, least: int) -> int:
        """Delete the uploads that are safe elsewhere or not wanted; return how many.

        An upload that is newer than what was read looks as if it were not wanted, and stays.
        """
        with self._lock:
            held = [
                upload
                for upload in self._held
                if upload.generation > wanted.basis.generation
                or not is_safe(upload.artifacts, wanted.artifacts, listings, least)
            ]
            dropped = len(self._held) - len(held)
            self._held = held
            return dropped
