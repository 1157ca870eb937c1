# SPDX-License-Identifier: MIT
"""A request for a token, exchanged for the token once: flow 2.15."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, delete, gather, insert
from tests.flows.datastore.errors import NotFound


@frozen(kw_only=True)
class Grant:
    """Who is granted a token, for the request of which client and device."""

    client_id: UUID
    device_code: str
    silo_user_id: UUID
    id: UUID = field(factory=uuid4)
    token: str


@frozen
class AccessToken:
    """A token."""

    id: UUID
    token: str
    client_id: UUID
    device_code: str
    silo_user_id: UUID
    time_requested: datetime


def token_create(grant: Grant) -> Batch[AccessToken]:
    """Exchange a request for a token, which knows when it was requested."""
    of = {"client_id": grant.client_id, "device_code": grant.device_code}
    request = delete("device_auth_request", where=of).expect(
        1, missing=NotFound("device auth request", grant.client_id)
    )
    token = {
        **of,
        "id": grant.id,
        "token": grant.token,
        "silo_user_id": grant.silo_user_id,
        "time_requested": request.output("time_created"),
    }
    return (
        gather(
            request.label("request"),
            insert("device_access_token", token)
            .one(AccessToken)
            .invariant(
                "device_access_token_pkey",
                "device_access_token_unique",
                "lookup_device_access_token_by_client",
            )
            .label("token"),
        )
        .map(lambda made: made[1])
        .label("token_create")
    )
