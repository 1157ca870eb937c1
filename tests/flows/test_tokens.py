# SPDX-License-Identifier: MIT
"""A request is exchanged for a token once, with an output of the statement that deletes it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation
from examples.datastore.errors import NotFound
from tests.flows.tokens import Grant, token_create

REQUESTED = datetime(2026, 8, 21, 12, 0, 0, 123456, tzinfo=UTC)


def request(service, grant: Grant) -> None:
    service.execute(
        "INSERT INTO device_auth_request VALUES (%s, %s, %s)",
        grant.client_id,
        grant.device_code,
        REQUESTED,
    )


@pytest.fixture
def grant(service) -> Grant:
    """Return a grant of what was requested."""
    grant = Grant(client_id=uuid4(), device_code="device", token="secret")
    request(service, grant)
    return grant


def test_token_create_deletes_the_request_and_keeps_its_time_in_one_flight(service, grant):
    token = service.run(token_create(grant))
    assert (token.token, token.time_requested) == ("secret", REQUESTED)
    assert service.execute("SELECT * FROM device_auth_request") == []


def test_token_create_does_not_find_a_request_twice(service, grant):
    service.run(token_create(grant))
    again = token_create(attrs.evolve(grant, id=uuid4(), token="another"))
    text = f'not found: device auth request "{grant.client_id}"'
    service.refuse(again, NotFound, text, at="token_create/request")


def test_more_than_one_request_is_a_bug(service, grant):
    request(service, grant)
    report = service.refuse(token_create(grant), GuardFailed, at="token_create/request")
    assert report.violation.rows == 2


@pytest.mark.parametrize(
    ("same", "constraint"),
    [
        ({"id"}, "device_access_token_pkey"),
        ({"token"}, "device_access_token_token_key"),
        ({"client_id", "device_code"}, "device_access_token_client_key"),
    ],
)
def test_existing_token_is_a_bug(service, grant, same, constraint):
    service.run(token_create(grant))
    other = Grant(client_id=uuid4(), device_code="other", token="another")
    again = attrs.evolve(other, **{name: getattr(grant, name) for name in same})
    request(service, again)
    report = service.refuse(token_create(again), InvariantViolation, at="token_create/token")
    assert report.violation.constraint == constraint
