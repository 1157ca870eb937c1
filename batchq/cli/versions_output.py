# SPDX-License-Identifier: MIT
"""Print the window and the members of a fleet: lines of text, or JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from batchq.versions import Fleet, Member, Status, Window


def window_line(fleet: Fleet, window: Window) -> str:
    """Say which versions may run."""
    if window.oldest == 0:
        return f"{fleet.name}: versions up to {window.newest} may run, none is retired"
    since = "" if window.settled_at is None else f" since {window.settled_at:%Y-%m-%d %H:%M:%S%z}"
    return (
        f"{fleet.name}: versions {window.oldest} to {window.newest} may run, those below are "
        f"retired{since}"
    )


def status_lines(fleet: Fleet, status: Status) -> Iterator[str]:
    """Yield the window, and a line for each member."""
    settled_at = status.window.settled_at
    age = "" if settled_at is None else f" ({_whole(status.read_at - settled_at)} ago)"
    yield f"{window_line(fleet, status.window)}{age}; this code is version {fleet.version}"
    if not status.members:
        yield "  no process has joined"
    for member in status.members:
        # As repr, so that it is one line whatever the name is.
        yield f"  {member.member!r}: version {member.version}, {_lease(member, status.read_at)}"


def status_dict(fleet: Fleet, status: Status) -> dict[str, Any]:
    """Return a dict that JSON can hold; intervals are in seconds."""
    window, now = status.window, status.read_at
    return {
        "name": fleet.name,
        "version": fleet.version,
        "oldest": window.oldest,
        "newest": window.newest,
        "settled_at": None if window.settled_at is None else window.settled_at.isoformat(),
        "settled_age": None if window.settled_at is None else _seconds(now - window.settled_at),
        "read_at": now.isoformat(),
        "members": [
            {
                "member": member.member,
                "version": member.version,
                "is_running": member.is_running,
                "until": member.until.isoformat(),
                "lease_left": _seconds(member.until - now),
            }
            for member in status.members
        ],
    }


def _lease(member: Member, now: datetime) -> str:
    if member.is_running:
        return f"running, its lease ends in {_whole(member.until - now)}"
    return f"not running, its lease ended {_whole(now - member.until)} ago"


def _seconds(interval: timedelta) -> float:
    return interval.total_seconds()


def _whole(interval: timedelta) -> timedelta:
    """Return an interval without the fraction of a second."""
    return timedelta(seconds=int(interval.total_seconds()))
