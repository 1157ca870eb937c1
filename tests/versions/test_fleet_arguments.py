# SPDX-License-Identifier: MIT
"""What cannot be the argument of a fleet is rejected with what to pass instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from batchq import Batch, InvalidBatch, gather
from batchq.versions import Fleet, Proof
from tests.support.argument_types import (
    Arguments,
    assert_rejects_wrong_types,
    parameters,
    public_methods,
)
from tests.versions.helpers import MINUTE, SEVEN, SIX, Distribution

MEMBER: Arguments = {"member": ("a", (str,))}
VERSION: Arguments = {"version": (7, (int,))}
CALLS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "Fleet": (
        Fleet,
        {
            "name": ("nexus", (str,)),
            **VERSION,
            "since": ({Distribution.FREEBSD: 7}, ()),
            "stamps": ({"rule": "row_version"}, ()),
            "window_table": ("a", (str,)),
            "member_table": ("b", (str,)),
        },
    ),
    "Fleet.contract": (
        SEVEN.contract,
        {
            "unused_since": (7, (int,)),
            "proofs": ([SEVEN.proof("rule", 7)], ()),
            "after": (MINUTE, (timedelta,)),
        },
    ),
    "Fleet.expand": (SEVEN.expand, VERSION),
    "Fleet.gate": (SEVEN.gate, {"batch": (gather(), (Batch,)), "needs": (7, (int,))}),
    "Fleet.join": (SEVEN.join, {**MEMBER, "lease": (MINUTE, (timedelta,))}),
    "Fleet.leave": (SEVEN.leave, MEMBER),
    "Fleet.proof": (SEVEN.proof, {"table": ("rule", (str,)), **VERSION}),
    "Fleet.retire": (SEVEN.retire, {"below": (7, (int,))}),
}


def test_table_has_every_public_method_and_its_parameters() -> None:
    """A new one fails here until it is in the table."""
    assert {"Fleet", *public_methods((Fleet, Proof))} == CALLS.keys()
    for name, (function, arguments) in CALLS.items():
        assert parameters(function) == arguments.keys(), name


@pytest.mark.parametrize("name", [name for name in CALLS if "." in name])
def test_docstring_describes_each_parameter(name: str) -> None:
    function, arguments = CALLS[name]
    assert [each for each in arguments if f":param {each}:" not in str(function.__doc__)] == []


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_rejected(name: str) -> None:
    assert_rejects_wrong_types(*CALLS[name])


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


def test_what_only_a_later_version_may_do_is_rejected() -> None:
    for call in (
        lambda: SIX.retire(below=7),
        lambda: SIX.proof("rule", 7),
        lambda: SIX.proof("image", 6),
        lambda: Fleet(name="a", version=7, stamps={"r" * 60: "row_version"}).proof("r" * 60, 7),
    ):
        with pytest.raises(InvalidBatch):
            call()
    for call in (
        lambda: Fleet(name="a", version=0),
        lambda: SIX.join("a", lease=timedelta(0)),
        lambda: SIX.contract(unused_since=7, after=timedelta(seconds=-1)),
        lambda: SIX.expand(0),
    ):
        with pytest.raises(ValueError, match=r"must be|is from"):
            call()
