# SPDX-License-Identifier: MIT
"""The errors say what is so, keep their attributes when they are pickled, and are VersionErrors."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest

from batchq import InvalidBatch
from batchq.versions import (
    Fleet,
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
from tests.versions.helpers import Distribution

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
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  it is this error

    for each in (error, again, copy.copy(error)):
        assert isinstance(each, VersionError)
        assert (str(each), each.args, vars(each)) == (text, error.args, vars(error))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"window_table": ""}, "not a table's name"),
        ({"member_table": "a..b"}, "not a table's name"),
        ({"stamps": {"r" * 64: "v"}}, "too long"),
        ({"window_table": "a", "member_table": "a"}, "another one"),
        ({"since": {Distribution.FREEBSD: 7}}, "must not be above 6"),
        ({"since": {Distribution.FREEBSD: "6"}}, r"write since\[Distribution.FREEBSD\]=7"),
    ],
)
def test_fleet_that_cannot_be_is_rejected(arguments, text) -> None:
    with pytest.raises(InvalidBatch, match=rf"^Fleet\(.*\): .*{text}"):
        Fleet(name="nexus", version=6, **arguments)


def test_fleet_does_not_change_with_what_it_was_made_of() -> None:
    since, stamps = {Distribution.FREEBSD: 6}, {"rule": "row_version"}
    fleet = Fleet(name="nexus", version=6, since=since, stamps=stamps)
    since.clear()
    stamps["image"] = "row_version"

    assert fleet.since == {Distribution.FREEBSD: 6}
    with pytest.raises(InvalidBatch, match="stamps="):
        fleet.proof("image", 6)
