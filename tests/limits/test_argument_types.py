# SPDX-License-Identifier: MIT
"""Arguments of a wrong type are rejected with what to pass instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from batchq import gather
from batchq.limits import Limits
from tests.support.argument_types import (
    RAISES,
    Arguments,
    assert_rejects_wrong_types,
    parameters,
    public_methods,
)

NONE = type(None)
LIMITS = Limits()
ERROR = LookupError("no such limit")
ID: Arguments = {
    "resource": ("vpcs", (str,)),
    "scope": (UUID(int=1), ()),
    "id": (UUID(int=2), ()),
}
OPTIONAL: tuple[Any, tuple[type, ...]] = (ERROR, (*RAISES, NONE))
AMOUNT: Arguments = {"amount": (3, (int,)), "exceeded": OPTIONAL}
CONNECTION: Arguments = {"conn": (None, ())}
CALLS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "Limits": (Limits, {"table": ("a", (str,)), "ledger": ("b", (str,))}),
    "Limits.acreate": (LIMITS.acreate, CONNECTION),
    "Limits.charge": (LIMITS.charge, {**ID, **AMOUNT, "missing": OPTIONAL}),
    "Limits.create": (LIMITS.create, CONNECTION),
    "Limits.ddl": (LIMITS.ddl, {"dialect": ("cockroachdb", ())}),
    "Limits.reconcile": (LIMITS.reconcile, {"scope": (UUID(int=1), ())}),
    "Limits.release": (LIMITS.release, {**ID, "missing": OPTIONAL}),
    "Limits.resize": (
        LIMITS.resize,
        {**ID, **AMOUNT, "missing": OPTIONAL, "not_charged": OPTIONAL},
    ),
    "Limits.set_limit": (
        LIMITS.set_limit,
        {
            "resource": ("vpcs", (str,)),
            "limit": (50, (int, NONE)),
            "scope": (UUID(int=1), ()),
        },
    ),
    "Limits.shortfalls": (LIMITS.shortfalls, {"batch": (gather(), ())}),
}


def test_table_has_every_public_method_and_its_parameters() -> None:
    """A new one fails here until it is in the table."""
    assert {"Limits", *public_methods((Limits,))} == CALLS.keys()
    for name, (function, arguments) in CALLS.items():
        assert parameters(function) == arguments.keys(), name


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_rejected(name: str) -> None:
    assert_rejects_wrong_types(*CALLS[name])
