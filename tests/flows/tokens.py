# SPDX-License-Identifier: MIT
"""Tokens of devices, each in exchange for a request."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, delete, gather, insert
from examples.datastore.errors import NotFound


@frozen(kw_only=True)
class Grant:
    """A token to create, for the request of a client's device."""

    client_id: UUID
    device_code: str
    id: UUID = field(factory=uuid4)
    token: str


@frozen
class AccessToken:
    """A token."""

    id: UUID
    token: str
    client_id: UUID
    device_code: str
    time_requested: datetime


def token_create(grant: Grant) -> Batch[AccessToken]:
    """Exchange a request for a token, which records when it was requested."""
    of = {"client_id": grant.client_id, "device_code": grant.device_code}
    request = delete("device_auth_request", where=of).expect(
        1, missing=NotFound("device auth request", grant.client_id)
    )
    requested = request.output("time_created")
    token = {**of, "id": grant.id, "token": grant.token, "time_requested": requested}
    return (
        gather(
            request.label("request"),
            insert("device_access_token", token)
            .one(AccessToken)
            .invariant(
                "device_access_token_pkey",
                "device_access_token_token_key",
                "device_access_token_client_key",
            )
            .label("token"),
        )
        .map(lambda made: made[1])
        .label("token_create")
    )
