# SPDX-License-Identifier: MIT
"""Find tables of which row level security hides rows from this role."""

from __future__ import annotations

from collections.abc import Iterator

from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode


def find_row_security(catalog: Catalog) -> Iterator[Finding]:
    """Find tables whose policies apply to this role, the job table included."""
    for hidden in catalog.row_security:
        yield Finding(
            code=FindingCode.ROW_SECURITY,
            table=hidden.table,
            detail="row level security is enabled and applies to this role",
            remedy="ALTER ROLE … BYPASSRLS;\nor be the table's owner, and row level security "
            "not FORCEd",
        )
