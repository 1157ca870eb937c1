# SPDX-License-Identifier: MIT
"""Describe what a server's SQL can say, as far as the texts of statements depend on it.

A statement is compiled once for all servers with the same abilities, so these are few.
"""

from __future__ import annotations

from functools import cache

from attrs import frozen


@frozen(eq=False)
class Abilities:
    """What a server's SQL can say; made by :func:`abilities`, and known by identity."""

    binary: bool
    """Whether it can convert a value to binary."""
    old: bool
    """Whether RETURNING can name a row as it was before."""
    xmax: bool
    """Whether a row has a system column that shows who has locked it."""


@cache
def abilities(*, binary: bool = True, old: bool = True, xmax: bool = True) -> Abilities:
    """Return the abilities of a server; by default those of the newest PostgreSQL."""
    return Abilities(binary, old, xmax)


NEWEST = abilities()
