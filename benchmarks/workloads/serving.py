# SPDX-License-Identifier: MIT
"""project_create by many at once: threads or tasks that share few connections, as a service does.

Each project goes into one of many silos, so that nobody waits for a row; what it is to wait for one
is test_contention's. A baseline under the same loop and the same pool does nothing but send.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar
from uuid import uuid4

import psycopg

from batchq import run, sequence, steps
from benchmarks.peers.bare import BarePipeline, values
from benchmarks.scene import PLENTY, Scene
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.silo import silo_create

CONNECTIONS: Final = 4
THREADS: Final = "throughput of threads"
TASKS: Final = "throughput of tasks"
_SILOS = 128

Conn = psycopg.Connection[Any]
P = TypeVar("P", bound=BarePipeline)


def projects(place: Scene, calls: int) -> list[NewProject]:
    """Fill a scene with silos; say which projects the calls create."""
    silos = [NewSilo(name=f"silo-{number}") for number in range(_SILOS)]
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        run(conn, sequence(silo_create(silo, projects=PLENTY) for silo in silos))
    return [
        NewProject(silo_id=silos[number % _SILOS].id, name=f"project-{number}")
        for number in range(calls)
    ]


def prepared(kind: type[P], conn: Conn, place: Scene) -> P:
    """A bare pipeline of the example's eight statements."""
    new = place.project(0)
    pipeline = kind(conn, [step.sql for step in steps(project_create(new))])
    pipeline.prepare(values(new, uuid4()))
    return pipeline
