# SPDX-License-Identifier: MIT
"""Flow 2.15: a request is exchanged for a token once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation
from tests.flows.datastore.errors import NotFound
from tests.flows.datastore.token import Grant, token_create

REQUESTED = datetime(2026, 8, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def grant(service) -> Grant:
    """A grant of what has been requested."""
    grant = Grant(client_id=uuid4(), device_code="device", silo_user_id=uuid4(), token="secret")
    request(service, grant)
    return grant


def request(service, grant: Grant) -> None:
    service.execute(
        "INSERT INTO device_auth_request"
        " VALUES (left(gen_random_uuid()::text, 20), %s, %s, %s, %s)",
        grant.client_id,
        grant.device_code,
        REQUESTED,
        REQUESTED + timedelta(hours=1),
    )


def test_the_request_is_gone_and_the_token_knows_when_it_was_made_in_one_flight(service, grant):
    token = service.run(token_create(grant))
    assert (token.token, token.silo_user_id) == ("secret", grant.silo_user_id)
    assert token.time_requested == REQUESTED
    assert service.execute("SELECT * FROM device_auth_request") == []


def test_a_second_time_there_is_no_request(service, grant):
    service.run(token_create(grant))
    again = token_create(attrs.evolve(grant, id=uuid4(), token="another"))
    says = f'not found: device auth request with id "{grant.client_id}"'
    service.refuse(again, NotFound, says, at="token_create/request")


def test_more_than_one_request_is_a_bug(service, grant):
    request(service, grant)
    report = service.refuse(token_create(grant), GuardFailed, at="token_create/request")
    assert report.violation.rows == 2


@pytest.mark.parametrize(
    ("same", "constraint"),
    [
        ({"id"}, "device_access_token_pkey"),
        ({"token"}, "device_access_token_unique"),
        ({"client_id", "device_code"}, "lookup_device_access_token_by_client"),
    ],
)
def test_a_token_that_is_there_already_is_a_bug(service, grant, same, constraint):
    service.run(token_create(grant))
    other = Grant(client_id=uuid4(), device_code="other", silo_user_id=uuid4(), token="another")
    again = attrs.evolve(other, **{name: getattr(grant, name) for name in same})
    request(service, again)
    report = service.refuse(token_create(again), InvariantViolation, at="token_create/token")
    assert report.violation.constraint == constraint
