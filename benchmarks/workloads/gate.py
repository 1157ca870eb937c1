# SPDX-License-Identifier: MIT
"""The updates of :mod:`benchmarks.workloads.guards`, with a gate around them and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from batchq import Batch, gather, param, run, sql, update
from batchq.versions import Fleet
from benchmarks.sandbox import Sandbox
from benchmarks.workloads import Workload
from benchmarks.workloads.guards import PLAIN, guards

FLEET = Fleet(name="benchmark", version=7)
GATED = ", gated"
"""Ends the names of the forms with a gate."""


def gate(statements: int) -> Workload:
    """Return batches of so many updates, built and bound."""
    plain = guards(statements)
    wheres = [{"id": param(f"id{number}", UUID)} for number in range(statements)]
    declared = gather(*(update("vpc_router", {"name": sql("name")}, where) for where in wheres))

    def inputs(place: Sandbox, calls: int) -> list[list[UUID]]:
        with place.connect() as conn:
            for command in FLEET.ddl():
                conn.execute(command.encode())
            run(conn, FLEET.expand(7))
        return list(plain.inputs(place, calls))

    def bound(ids: list[UUID]) -> Batch[Any]:
        return declared.bind(**{f"id{number}": each for number, each in enumerate(ids)})

    forms: dict[str, Callable[[list[UUID]], Batch[Any]]] = {
        "built": plain.batches[PLAIN],
        "bound": bound,
    }
    gated = {f"{name}{GATED}": _gated(form) for name, form in forms.items()}
    return Workload("gate", inputs, {**forms, **gated})


def _gated(form: Callable[[list[UUID]], Batch[Any]]) -> Callable[[list[UUID]], Batch[Any]]:
    return lambda ids: FLEET.gate(form(ids))
