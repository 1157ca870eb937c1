# SPDX-License-Identifier: MIT
"""Arguments of a wrong type are rejected with what to pass instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from batchq import Batch, gather
from batchq.versions import Fleet, Proof
from tests.support.argument_types import (
    Arguments,
    assert_rejects_wrong_types,
    parameters,
    public_methods,
)
from tests.versions.helpers import MINUTE, SEVEN, Distribution

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


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_rejected(name: str) -> None:
    assert_rejects_wrong_types(*CALLS[name])
