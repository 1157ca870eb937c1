# SPDX-License-Identifier: MIT
"""What makes the example's project_create fail: the state of the tables before it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import attrs

from batchq import run, sql, update
from examples.datastore.models import NewProject, NewVpc
from examples.datastore.project import project_create
from examples.datastore.vpc import vpc_with_defaults


def name_taken(store: Any, new: NewProject) -> None:
    run(store, project_create(attrs.evolve(new, id=uuid4())))


def name_of_a_dead_project_and_limit_reached(store: Any, new: NewProject) -> None:
    run(store, project_create(attrs.evolve(new, id=uuid4())))
    store.execute("UPDATE project SET time_deleted = now()")
    store.execute("UPDATE silo_limits SET projects_limit = projects_used")


def id_taken(store: Any, new: NewProject) -> None:
    run(store, project_create(attrs.evolve(new, name="other")))


def silo_deleted(store: Any, new: NewProject) -> None:
    run(store, update("silo", {"time_deleted": sql("now()")}, {"id": new.silo_id}))


def silo_never_was(store: Any, new: NewProject) -> None:
    store.execute("DELETE FROM silo")


def no_limits(store: Any, new: NewProject) -> None:
    store.execute("DELETE FROM silo_limits")


def leaked_vpc(store: Any, new: NewProject) -> None:
    run(store, vpc_with_defaults(NewVpc(project_id=new.id, name="default")))


def new_constraint(store: Any, new: NewProject) -> None:
    store.execute("ALTER TABLE project ADD CONSTRAINT project_name_long CHECK (length(name) > 9)")


def new_constraint_in_the_vpc(store: Any, new: NewProject) -> None:
    store.execute("ALTER TABLE vpc_subnet ADD CONSTRAINT subnet_small CHECK (id IS NULL)")
