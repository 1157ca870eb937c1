# SPDX-License-Identifier: MIT
"""Run several versions of a service on one database: each runs while it may, and reads what others
have stored.

>>> from batchq.versions import Fleet
>>> FLEET = Fleet(name="nexus", version=7)

The SQL follows CockroachDB's documentation as well, but it has not been run there.
"""

from __future__ import annotations

from batchq.versions.documents import Change, Document, Written
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
from batchq.versions.fleet import Fleet
from batchq.versions.frozen import Finding, check_frozen, freeze
from batchq.versions.proof import Proof
from batchq.versions.tables import Member, Status, Window
from batchq.versions.variants import Unknown, tolerant

__all__ = [
    "Change",
    "Document",
    "Finding",
    "Fleet",
    "Lossy",
    "Member",
    "NoCommonVersion",
    "NoFleet",
    "NotYet",
    "Proof",
    "Status",
    "StillRunning",
    "TooNew",
    "TooOld",
    "Unknown",
    "Unproven",
    "VersionError",
    "Window",
    "Written",
    "check_frozen",
    "freeze",
    "tolerant",
]
