# SPDX-License-Identifier: MIT
"""Limits in a declaration: scope and id are parameters, and the batch does what the built one
does."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import UUID

import pytest
from attrs import frozen

from batchq import InvalidBatch, explain, gather, param, row, run, steps
from batchq.limits import LimitExceeded, LimitMissing, Limits, NotCharged
from batchq.result import Failed, attempt
from tests.limits.helpers import FLEET, LIMITS, PROJECT, SILO, A, B, set_limits


@frozen
class NewVpc:
    """A row."""

    id: UUID
    project: UUID
    silo: UUID


NEW = row(NewVpc)
DECLARED = {
    "one scope": LIMITS.charge("vpcs", scope=NEW.project, id=NEW.id),
    "charge": LIMITS.charge("vpcs", scope=[NEW.project, NEW.silo], id=NEW.id),
    "release": LIMITS.release("vpcs", scope=[NEW.project, NEW.silo], id=NEW.id),
    "resize": LIMITS.resize("vpcs", 2, scope=[NEW.project, NEW.silo], id=NEW.id),
    "beside another": gather(
        LIMITS.charge("vpcs", scope=NEW.silo, id=NEW.id),
        LIMITS.charge("vpcs", scope=[NEW.project, FLEET], id=NEW.id),
    ),
}
BUILT = {
    "one scope": lambda new: LIMITS.charge("vpcs", scope=new.project, id=new.id),
    "charge": lambda new: LIMITS.charge("vpcs", scope=[new.project, new.silo], id=new.id),
    "release": lambda new: LIMITS.release("vpcs", scope=[new.project, new.silo], id=new.id),
    "resize": lambda new: LIMITS.resize("vpcs", 2, scope=[new.project, new.silo], id=new.id),
    "beside another": lambda new: gather(
        LIMITS.charge("vpcs", scope=new.silo, id=new.id),
        LIMITS.charge("vpcs", scope=[new.project, FLEET], id=new.id),
    ),
}


def sent(batch: Any) -> list[Any]:
    return [(step.path, step.sql, step.parameters) for step in steps(batch)]


# Of two equal scopes in one call, a built batch takes one; see the next test.
CASES = [
    (case, project, silo)
    for case, project, silo in product(DECLARED, (PROJECT, SILO, FLEET), (PROJECT, SILO, FLEET))
    if project != (FLEET if case == "beside another" else silo)
]


@pytest.mark.parametrize(("case", "project", "silo"), CASES)
def test_counters_are_locked_in_the_order_of_the_built_batch(case, project, silo):
    new = NewVpc(A, project, silo)
    assert sent(DECLARED[case].takes(NewVpc).bind(new)) == sent(BUILT[case](new))


def test_one_scope_for_two_parameters_is_charged_once(conn, book):
    set_limits(conn, (PROJECT, "vpcs", 5))
    assert run(conn, DECLARED["charge"].bind(NewVpc(A, PROJECT, PROJECT)))
    assert book.used() == 1


@pytest.mark.parametrize("case", DECLARED)
def test_what_fails_is_raised_with_the_values_that_were_bound(conn, book, case):
    set_limits(conn, (PROJECT, "vpcs", 1), (SILO, "vpcs", 1), (FLEET, "vpcs", None))
    run(conn, LIMITS.charge("vpcs", scope=[PROJECT, SILO], id=B))
    for new in (NewVpc(A, PROJECT, SILO), NewVpc(B, PROJECT, SILO), NewVpc(A, UUID(int=9), SILO)):
        bound, built = (attempt(conn, form(new)) for form in (DECLARED[case].bind, BUILT[case]))
        assert type(bound) is type(built)
        if isinstance(bound, Failed):
            assert (type(bound.error), vars(bound.error)) == (type(built.error), vars(built.error))
            assert isinstance(bound.error, LimitExceeded | LimitMissing | NotCharged)


@pytest.mark.parametrize("case", ["one scope", "charge"])
def test_shortfalls_of_a_bound_batch_are_those_of_the_built_one(conn, book, case):
    set_limits(conn, (PROJECT, "vpcs", 0), (SILO, "vpcs", 1))
    new = NewVpc(A, PROJECT, SILO)
    found = [run(conn, LIMITS.shortfalls(form(new))) for form in (DECLARED[case].bind, BUILT[case])]
    assert found[0] == found[1] != []


def test_limit_is_set_for_a_parameter(conn, book):
    declared = LIMITS.set_limit("vpcs", 7, scope=param("scope", UUID))
    run(conn, declared.bind(scope=PROJECT))
    assert book.counter() == (0, 7, 7)


REJECTED = {
    "text": param("scope", str),
    "a list": param("scope", list[UUID]),
    "may be None": param("scope", UUID | None),
}


@pytest.mark.parametrize("case", REJECTED)
def test_parameter_that_is_not_a_uuid_is_rejected(case):
    with pytest.raises(InvalidBatch, match=r"scope= must be a UUID, and the parameter 'scope' is"):
        Limits().charge("vpcs", scope=REJECTED[case], id=A)
    with pytest.raises(InvalidBatch, match=r"id= must be a UUID, and the parameter 'scope' is not"):
        Limits().charge("vpcs", scope=PROJECT, id=REJECTED[case])


def test_amount_is_not_a_parameter():
    with pytest.raises(InvalidBatch, match="pass an int from 1"):
        Limits().charge("vpcs", param("n", int), scope=PROJECT, id=A)  # type: ignore[arg-type]


def test_what_it_raises_has_a_name() -> None:
    """It stands in the text of explain() and of errors, where <lambda> says nothing."""
    new = NewVpc(A, PROJECT, SILO)
    text = "\n".join(explain(declared.bind(new)) for declared in DECLARED.values())

    assert all(f"-> {name}" in text for name in ("LimitExceeded", "LimitMissing", "NotCharged"))
    assert "<lambda>" not in text
