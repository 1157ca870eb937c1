# SPDX-License-Identifier: MIT
"""Run several versions of a service on one database, and converge what they have stored.

The SQL follows CockroachDB's documentation as well, but it has not been run there.
"""

from __future__ import annotations

from batchq.versions.errors import (
    Lossy,
    NoCommonVersion,
    NoFleet,
    NotYet,
    StillRunning,
    TooNew,
    TooOld,
    Unproven,
    VersionError,
)

__all__ = [
    "Lossy",
    "NoCommonVersion",
    "NoFleet",
    "NotYet",
    "StillRunning",
    "TooNew",
    "TooOld",
    "Unproven",
    "VersionError",
]
