# SPDX-License-Identifier: MIT
"""Define the two tables of fleets, and the rows that are read from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import derived, identifier, quoted

_WINDOW = """\
CREATE TABLE IF NOT EXISTS {window} (
    fleet text NOT NULL,
    oldest int NOT NULL DEFAULT 0,
    newest int NOT NULL,
    settled_at timestamptz,
    CONSTRAINT {pkey} PRIMARY KEY (fleet),
    CONSTRAINT {ordered} CHECK (oldest <= newest)
)"""

_MEMBER = """\
CREATE TABLE IF NOT EXISTS {member} (
    fleet text NOT NULL,
    member text NOT NULL,
    version int NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT {pkey} PRIMARY KEY (fleet, member)
)"""


def ddl(window: str, member: str) -> tuple[str, str]:
    """Return the DDL of both tables."""
    return (
        _WINDOW.format(
            window=quoted(window),
            pkey=identifier(derived(window, "pkey")),
            ordered=identifier(derived(window, "ordered")),
        ),
        _MEMBER.format(member=quoted(member), pkey=identifier(derived(member, "pkey"))),
    )


@frozen
class FleetTables:
    """The rows of one fleet: where they are, and the name that they have."""

    fleet: str
    window: str
    member: str


@own
@frozen
class Window:
    """The versions that may run."""

    oldest: int
    """The oldest one: those below it are retired. 0 before any is retired."""
    newest: int
    """The newest one: the schema is expanded for it."""
    settled_at: datetime | None
    """When ``oldest`` became what it is (aware); None if no version was ever retired."""


@own
@frozen
class Member:
    """A process that has joined, and has not left."""

    member: str
    """The name by which it has joined."""
    version: int
    until: datetime
    """When its lease ends, or has ended (aware)."""
    is_running: bool
    """Whether the lease had not ended yet, by the clock of the server."""


@frozen
class Status:
    """The window and the members of a fleet, at one moment."""

    window: Window
    members: Sequence[Member]
    """By name."""
    read_at: datetime
    """That moment, by the clock of the server (aware)."""
