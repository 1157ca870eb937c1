# SPDX-License-Identifier: MIT
"""Limits of a silo and a project, and how much of each is used."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, check, insert, param, sql, update
from examples.datastore.errors import LimitExceeded


def limits_insert(silo_id: UUID, *, projects: int) -> Batch[None]:
    """Set the limits of a new silo."""
    return insert("silo_limits", {"silo_id": silo_id, "projects_limit": projects}).invariant(
        "silo_limits_pkey", "silo_limits_projects_within_limit"
    )


TAKE_PROJECT = (
    update(
        "silo_limits", {"projects_used": sql("projects_used + 1")}, {"silo_id": param("silo", UUID)}
    )
    .expect(1)
    .on(
        check("silo_limits_projects_within_limit"),
        lambda v: LimitExceeded("projects of silo", v.values["silo_id"]),
    )
)
TAKE_VPC = (
    update("project", {"vpcs_used": sql("vpcs_used + 1")}, {"id": param("project", UUID)})
    .expect(1)
    .on(
        check("project_vpcs_within_limit"),
        lambda v: LimitExceeded("vpcs of project", v.values["id"]),
    )
)


def limits_take_project(silo_id: UUID) -> Batch[None]:
    """Count one more project. A silo without limits is a bug, so that is not mapped."""
    return TAKE_PROJECT.bind(silo=silo_id)


def limits_give_back_project(silo_id: UUID) -> Batch[None]:
    """Count one project fewer."""
    fewer = {"projects_used": sql("projects_used - 1")}
    return update("silo_limits", fewer, where={"silo_id": silo_id}).expect(1)


def limits_take_vpc(project_id: UUID) -> Batch[None]:
    """Count one more VPC."""
    return TAKE_VPC.bind(project=project_id)


def limits_give_back_vpc(project_id: UUID) -> Batch[None]:
    """Count one VPC fewer."""
    return update("project", {"vpcs_used": sql("vpcs_used - 1")}, {"id": project_id}).expect(1)
