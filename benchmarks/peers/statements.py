# SPDX-License-Identifier: MIT
"""The statements of project_create as one writes them for psycopg, and what their failures mean.

They are those that batchq sends for the example, but for the two checks that a row was there, which
is each peer's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any, Final
from uuid import UUID, uuid4

from benchmarks.peers import Internal
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.models import NewProject

SILO: Final = "UPDATE silo SET rcgen = rcgen + 1 WHERE id = %s AND time_deleted IS NULL"
PROJECT: Final = (
    "INSERT INTO project (id, silo_id, name, description) VALUES (%s, %s, %s, %s) "
    "RETURNING id, silo_id, name, description, rcgen, time_created"
)
VPC: Final = (
    "INSERT INTO vpc (id, project_id, system_router_id, name) VALUES (%s, %s, %s, %s) "
    "RETURNING id, project_id, system_router_id, name, rcgen, time_created"
)
ROUTER: Final = (
    "INSERT INTO vpc_router (id, vpc_id, kind, name) VALUES (%s, %s, %s, %s) "
    "RETURNING id, vpc_id, kind, name, time_created"
)
SUBNET: Final = (
    "INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block) VALUES (%s, %s, %s, %s) "
    "RETURNING id, vpc_id, name, ipv4_block, time_created"
)
RULE: Final = (
    "INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s) "
    "RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created"
)
LIMIT: Final = "UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = %s"

# The server divides by zero where there is no row: it has to abort by itself when the COMMIT is on
# its way already.
GUARDED_SILO: Final = f"WITH done AS ({SILO} RETURNING 1) SELECT 1 / count(*) FROM done"  # noqa: S608  both
GUARDED_LIMIT: Final = f"WITH done AS ({LIMIT} RETURNING 1) SELECT 1 / count(*) FROM done"  # noqa: S608  are ours

BLOCK: Final = IPv4Network("172.30.0.0/22")

RULES: Final[tuple[tuple[str, list[str]], ...]] = (
    ("allow-internal-inbound", []),
    ("allow-ssh", ["tcp"]),
)
"""The names and protocols of the two rules that a VPC begins with."""


def rules(vpc_id: UUID) -> Iterator[tuple[Any, ...]]:
    """The parameters of the two rules."""
    for name, protocols in RULES:
        yield uuid4(), vpc_id, name, "inbound", "allow", protocols, 65534


def meaning(constraint: str | None, new: NewProject) -> Exception:
    """What the service says of a violated constraint; None is a silo that is gone."""
    match constraint:
        case None:
            return NotFound("silo", new.silo_id)
        case "lookup_project_by_silo":
            return AlreadyExists("project", new.name)
        case "silo_limits_projects_within_limit":
            return LimitExceeded("projects of silo", new.silo_id)
        case _:
            return Internal(constraint)
