# SPDX-License-Identifier: MIT
"""Tables of which a policy hides rows: nobody could say that none is left."""

from __future__ import annotations

from collections.abc import Iterator

from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode


def veiled(catalog: Catalog) -> Iterator[Finding]:
    """Find tables of which this role does not see every row, that of the jobs among them."""
    for one in catalog.veiled:
        yield Finding(
            code=FindingCode.ROW_SECURITY,
            table=one.table,
            detail="row level security is on, and holds for this role",
            remedy="ALTER ROLE … BYPASSRLS;\nor be the table's owner, and row level security "
            "not FORCEd",
        )
