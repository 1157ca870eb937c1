# SPDX-License-Identifier: MIT
"""Adding a child to a parent that may be gone, which no foreign key can see (schema.sql)."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from batchq import Batch, sql, update
from examples.datastore.errors import NotFound


def parent_bump(kind: Literal["silo", "project"], parent_id: UUID) -> Batch[None]:
    """Bump the generation of a living parent: it is there, and is locked until we are done."""
    return update(
        kind, {"rcgen": sql("rcgen + 1")}, where={"id": parent_id, "time_deleted": None}
    ).expect(1, missing=NotFound(kind, parent_id))
