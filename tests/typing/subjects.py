# SPDX-License-Identifier: MIT
"""Models and statements whose types are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from attrs import frozen

from batchq import (
    Violation,
    select,
    sql,
)


@frozen
class Project:
    id: UUID
    name: str


@dataclass
class Vpc:
    id: UUID


class Subnet(NamedTuple):
    id: UUID


@frozen
class Created:
    project: Project
    vpc: Vpc


class NameTaken(Exception):
    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.constraint)


def from_row(row: dict[str, Any]) -> bytes:
    return bytes(row["id"])


INT = sql("SELECT 1").scalar(int)
STR = sql("SELECT 'a'").scalar(str)


ROW = select("project", ["id"], where={"id": 7})
