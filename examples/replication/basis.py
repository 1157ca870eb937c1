# SPDX-License-Identifier: MIT
"""What a request is based on: one state of the wanted set."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from json import dumps

from attrs import frozen


@frozen
class Basis:
    """The state of the wanted set that the sender of a request has read."""

    generation: int
    digest: str
    """Of the whole set: two senders that name one generation must mean the same artifacts."""


def basis_of(generation: int, artifacts: Iterable[str]) -> Basis:
    """Return the basis of a set, in whatever order it was read.

    >>> basis_of(7, ["b", "a"]) == basis_of(7, ["a", "b"])
    True
    """
    # JSON, so that no name can look like two: a row may be any text.
    return Basis(generation, sha256(dumps(sorted(artifacts)).encode()).hexdigest())
