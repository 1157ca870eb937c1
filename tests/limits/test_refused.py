# SPDX-License-Identifier: MIT
"""What is refused when it is built, before there is a connection."""

from __future__ import annotations

import copy
import pickle
from uuid import UUID

import pytest

from batchq import InvalidBatch, gather, insert, steps
from batchq.limits import LimitExceeded, LimitMissing, Limits, NotCharged
from tests.limits.helpers import LIMITS, SILO, A


@pytest.mark.parametrize("n", [0, -1, True, 2**63, 1.0, "1", None], ids=repr)
def test_invalid_amount_is_rejected(n):
    with pytest.raises(InvalidBatch, match="charge"):
        LIMITS.charge("vpcs", n, scope=SILO, id=A)
    with pytest.raises(InvalidBatch, match="resize"):
        LIMITS.resize("vpcs", n, scope=SILO, id=A)


@pytest.mark.parametrize("lim", [-1, False, 2**63, 1.0, "1"], ids=repr)
def test_invalid_limit_is_rejected(lim):
    with pytest.raises(InvalidBatch, match="limit"):
        LIMITS.set_limit("vpcs", lim, scope=SILO)


def test_greatest_and_least_amounts_are_accepted():
    LIMITS.charge("vpcs", 1, scope=SILO, id=A)
    LIMITS.charge("vpcs", 2**63 - 1, scope=SILO, id=A)
    LIMITS.set_limit("vpcs", 0, scope=SILO)
    LIMITS.set_limit("vpcs", 2**63 - 1, scope=SILO)


EVERY_VERB = {
    "charge": lambda resource, scope, one: LIMITS.charge(resource, scope=scope, id=one),
    "release": lambda resource, scope, one: LIMITS.release(resource, scope=scope, id=one),
    "resize": lambda resource, scope, one: LIMITS.resize(resource, 1, scope=scope, id=one),
    "set_limit": lambda resource, scope, _: LIMITS.set_limit(resource, 1, scope=scope),
}


@pytest.mark.parametrize("verb", EVERY_VERB.values(), ids=EVERY_VERB)
class TestEveryVerb:
    @pytest.mark.parametrize("scope", [str(SILO), 7, None, [], [SILO, "x"]], ids=repr)
    def test_invalid_scope_is_rejected(self, verb, scope):
        with pytest.raises(InvalidBatch, match="scope="):
            verb("vpcs", scope, A)

    @pytest.mark.parametrize("resource", ["", None, 7, "a\0b"], ids=repr)
    def test_resource_without_a_name_is_rejected(self, verb, resource):
        with pytest.raises(InvalidBatch, match="resource"):
            verb(resource, SILO, A)

    def test_scopes_are_read_at_once(self, verb):
        once = iter([SILO, UUID(int=1)])
        batch = verb("vpcs", once, A)
        assert len(steps(batch)) == len(steps(batch)) > 1


@pytest.mark.parametrize("verb", ["charge", "release", "resize"])
@pytest.mark.parametrize("id", [str(A), 7, None], ids=repr)
def test_invalid_id_is_rejected(verb, id):
    with pytest.raises(InvalidBatch, match="id="):
        EVERY_VERB[verb]("vpcs", SILO, id)


@pytest.mark.parametrize("scope", [str(SILO), None, [SILO]], ids=repr)
def test_recount_rejects_what_is_not_a_scope(scope):
    with pytest.raises(InvalidBatch, match="scope="):
        LIMITS.reconcile(scope)


def test_output_of_an_outer_statement_is_rejected_and_a_later_one_runs_before_the_charge():
    vpc = insert("vpc", {"name": "web"})
    charged = LIMITS.charge("vpcs", scope=SILO, id=vpc.output("id", "uuid"))
    assert steps(gather(charged, vpc))[0].statement is vpc
    with pytest.raises(InvalidBatch, match="not in the batch"):
        steps(charged)


@pytest.mark.parametrize("name", ["", "a.", ".a", None, "a\0b", "x" * 64, "\u00e9" * 32], ids=ascii)
@pytest.mark.parametrize("field", ["table", "ledger"])
def test_table_name_that_is_empty_or_too_long_is_rejected(name, field):
    with pytest.raises(InvalidBatch, match="Limits"):
        Limits(**{field: name})


def test_longest_table_name_is_accepted():
    assert Limits(table=f"{'s' * 63}.{'x' * 63}").table.endswith("x")


@pytest.mark.parametrize(
    "error",
    [LimitExceeded("vpcs", SILO, 3), LimitMissing("vpcs", SILO), NotCharged("vpcs", SILO, A)],
    ids=lambda error: type(error).__name__,
)
def test_error_is_copied_and_pickled(error):
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(twin), vars(twin)) == (str(error), vars(error))
