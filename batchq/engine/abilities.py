# SPDX-License-Identifier: MIT
"""Describe what a session's SQL can say, as far as the texts of statements depend on it.

A statement is compiled once for all sessions with the same abilities, so these are few.
"""

from __future__ import annotations

from functools import cache

from attrs import frozen


@frozen(eq=False)
class Abilities:
    """What a session's SQL can say; made by :func:`abilities`, and known by identity."""

    binary: bool
    """Whether it can convert a value to binary."""
    old: bool
    """Whether RETURNING can name a row as it was before."""
    xmax: bool
    """Whether a row has a system column that shows who has locked it."""
    plain: bool
    """Whether it writes values as text in the usual way: dates in ISO, intervals in the style of
    PostgreSQL, characters in the client's encoding."""

    def without_plain(self) -> Abilities:
        """Return those of a session that may write values in another way."""
        return abilities(binary=self.binary, old=self.old, xmax=self.xmax, plain=False)


@cache
def abilities(
    *, binary: bool = True, old: bool = True, xmax: bool = True, plain: bool = True
) -> Abilities:
    """Return the abilities of a session; by default on the newest PostgreSQL, as it is set up."""
    return Abilities(binary, old, xmax, plain)


NEWEST = abilities()
