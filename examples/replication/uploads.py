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

    def needed(self, wanted: Wanted) -> frozenset[str]:
        """Return the artifacts that a state of the set wants, as far as it can say.

        Only a newer state can have removed some. This generation or an older one that does not list
        them says nothing: the row is not there yet, or it is lost.
        """
        if self.generation < wanted.basis.generation:
            return self.artifacts & (wanted.artifacts | wanted.malformed)
        return self.artifacts


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
        """Delete the uploads that are safe elsewhere or not wanted any more; return how many.

        An upload that is newer than what was read stays: the listed copies may be deleted by now.
        """
        with self._lock:
            held = [
                upload
                for upload in self._held
                if upload.generation > wanted.basis.generation
                or not is_safe(upload.needed(wanted), listings, least)
            ]
            dropped = len(self._held) - len(held)
            self._held = held
            return dropped

    def unlisted(self, wanted: Wanted) -> frozenset[str]:
        """Return the artifacts that are held, and that a set of their time does not list."""
        with self._lock:
            return frozenset().union(
                *(
                    upload.needed(wanted) - wanted.artifacts
                    for upload in self._held
                    if upload.generation <= wanted.basis.generation
                )
            )
