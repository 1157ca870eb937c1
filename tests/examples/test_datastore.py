# SPDX-License-Identifier: MIT
"""DataStore, the interface of the service, on a pool."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from examples.datastore.datastore import DataStore
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.models import NewProject, NewSilo, NewVpc
from examples.datastore.schema import create_tables


@pytest.fixture
def datastore(database):
    with psycopg.connect(database, autocommit=True) as conn:
        create_tables(conn)
    with ConnectionPool(database, min_size=1, max_size=2) as pool:
        yield DataStore(pool)


def test_each_method_runs_its_own_transaction(datastore):
    silo = datastore.silo_create(NewSilo(name="acme"), projects=2)
    created = datastore.project_create(NewProject(silo_id=silo.id, name="web"))
    assert datastore.project_fetch(created.project.id) == created.project
    made = datastore.vpc_create(NewVpc(project_id=created.project.id, name="second"))
    assert made.vpc.name == "second"
    # Adding the VPC increased the generation of its project.
    assert datastore.project_fetch(created.project.id).rcgen == created.project.rcgen + 1


def test_failed_methods_raise_the_services_own_errors(datastore):
    datastore.silo_create(NewSilo(name="acme"), projects=2)
    with pytest.raises(AlreadyExists, match="acme"):
        datastore.silo_create(NewSilo(name="acme"), projects=2)
    with pytest.raises(NotFound, match="silo"):
        datastore.project_create(NewProject(silo_id=uuid4(), name="web"))
    with pytest.raises(NotFound, match="project"):
        datastore.project_fetch(uuid4())
