# SPDX-License-Identifier: MIT
"""Add child rows to live parents only, and delete parents only if they have no children.

>>> from batchq.hierarchy import Parent
>>> project = Parent(table="project", key="id", deleted_at="deleted_at", generation="version")
>>> vpcs = project.children("vpc", by="project_id", deleted_at="deleted_at")
"""

from __future__ import annotations

from batchq.patterns.hierarchy import Children, Parent
from batchq.patterns.replacing import NotReplaced, Replaced

__all__ = ["Children", "NotReplaced", "Parent", "Replaced"]
