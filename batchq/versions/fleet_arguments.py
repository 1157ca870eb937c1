# SPDX-License-Identifier: MIT
"""Check the arguments of a fleet, and of its methods."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from batchq.engine.compile.quoting import check_table
from batchq.language.argument_types import checked
from batchq.language.errors import InvalidBatch
from batchq.language.validation import is_column

if TYPE_CHECKING:
    from attrs import Attribute

GREATEST = (1 << 31) - 1
"""The greatest version: the maximum of int."""
LONGEST = timedelta(days=36_500)
"""The longest time that a method takes: one that a timestamp of the server can be added to."""


def fleet_name(_: object, __: Attribute[str], name: str) -> None:
    """Reject the name of a fleet that is not one."""
    check_name("Fleet(name=)", name)


def fleet_version(_: object, __: Attribute[int], version: int) -> None:
    """Reject the version of a fleet that is not one."""
    check_version("Fleet", "version", version)


def fleet_table(_: object, __: Attribute[str], name: str) -> None:
    """Reject the table of a fleet that is not the name of one."""
    check_table(name, "Fleet")


def check_name(call: str, name: str) -> None:
    """Reject the name of a fleet or a member that is empty, or that the server cannot store."""
    if not is_column(name):
        raise InvalidBatch(f"{call}: it must be a non-empty str without NUL, not {name!r:.60}")


def check_version(call: str, name: str, version: int) -> None:
    """Reject a version that is not a positive int.

    :raises ValueError: for an int that is out of range.
    """
    checked(call, name, version, int, "7")
    if not 1 <= version <= GREATEST:
        raise ValueError(f"{call}({name}={version}): a version is from 1 to {GREATEST}")


def check_known(call: str, name: str, version: int, own: int) -> None:
    """Reject a version that this code, of version ``own``, cannot know."""
    check_version(call, name, version)
    if version > own:
        raise InvalidBatch(
            f"{call}({name}={version}): it must not be above {own}, the version of this fleet"
        )


def check_lease(lease: timedelta) -> None:
    """Reject the ``lease=`` of a member that is not positive."""
    checked("join", "lease", lease, timedelta, "timedelta(minutes=1)")
    if not timedelta(0) < lease <= LONGEST:
        raise ValueError(f"join(lease={lease}): it must be above 0, to {LONGEST}")


def check_after(after: timedelta) -> None:
    """Reject the ``after=`` of a contract that is negative."""
    checked("contract", "after", after, timedelta, "timedelta(hours=1)")
    if not timedelta(0) <= after <= LONGEST:
        raise ValueError(f"contract(after={after}): it must be from 0 to {LONGEST}")


def checked_since(since: Mapping[Enum, int], own: int) -> Mapping[Enum, int]:
    """Return a copy of ``since=``: what the argument becomes later does not count."""
    checked("Fleet", "since", since, Mapping, "{Distribution.FREEBSD: 7}")
    for variant, version in since.items():
        if not isinstance(variant, Enum):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidBatch(
                f"Fleet(since=): {variant!r:.60} is not a member of an enum; pass "
                f"since={{Distribution.FREEBSD: 7}}"
            )
        check_known("Fleet", f"since[{type(variant).__name__}.{variant.name}]", version, own)
    return dict(since)


def checked_stamps(stamps: Mapping[str, str]) -> Mapping[str, str]:
    """Return a copy of ``stamps=``."""
    checked("Fleet", "stamps", stamps, Mapping, '{"rule": "row_version"}')
    for table, column in stamps.items():
        check_table(table, "Fleet")
        if not is_column(column):
            raise InvalidBatch(
                f"Fleet(stamps=): {column!r:.60} is not the name of a column; pass "
                f'{{"rule": "row_version"}}'
            )
    return dict(stamps)
