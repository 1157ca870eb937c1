# SPDX-License-Identifier: MIT
"""The errors say what is so, keep their attributes when they are pickled, and are VersionErrors."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest

from batchq.versions import (
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

SETTLED = datetime(2026, 11, 30, tzinfo=UTC)
ERRORS = {
    "no window of the fleet 'nexus' is visible: run expand() in a migration, unless a row-level "
    "security policy hides it from this role": NoFleet("nexus"),
    "the table 'w' does not exist: the search path leads to no such table; create it in a "
    "migration with the DDL that Fleet.ddl() returns": NoFleet("nexus", "w"),
    "version 6 is retired: the oldest that may run is 7": TooOld(6, 7),
    "the schema is expanded for version 6, not for 7; migrate it first": TooNew(7, 6),
    "no version is retired yet, and this needs those below 7 to be": NotYet(7, 0, None),
    "version 6 may still run, and this needs 7": NotYet(7, 6, SETTLED),
    "version 8 is the oldest only since 2026-11-30 00:00:00+00:00": NotYet(7, 8, SETTLED),
    "'a' is running version 6": StillRunning("a", 6),
    "rule has no validated CHECK 'rule_row_version_7' as its proof says": Unproven(
        "rule", "rule_row_version_7"
    ),
    "this spec cannot be written as version 1: disks[0].boot would be lost": Lossy(
        "spec", 1, ["disks[0].boot"]
    ),
    "this spec cannot be written as version 1": Lossy("spec", 1),
    "spec: this process reads versions 1, 2, the peer none": NoCommonVersion("spec", [2, 1], []),
}


@pytest.mark.parametrize(("text", "error"), ERRORS.items())
def test_error_has_its_text_and_attributes_in_another_process_too(text, error) -> None:
    again = pickle.loads(pickle.dumps(error))

    for each in (error, again, copy.copy(error)):
        assert isinstance(each, VersionError)
        assert (str(each), each.args, vars(each)) == (text, error.args, vars(error))
