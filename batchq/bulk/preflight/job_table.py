# SPDX-License-Identifier: MIT
"""Whether the table of jobs is as this library writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchq.bulk.backfill import Backfill
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import quoted

_UNFINISHED = "(phase = ANY (ARRAY['active'::text, 'stuck'::text]))"
"""As PostgreSQL writes the predicate of the index that keeps a second job out."""
_ONE_OF = re.compile(r"\W*phase\W+(?:=\W+ANY|IN)\b(.*)", re.DOTALL)
"""As that does, and as CockroachDB may: ``phase IN ('active':::STRING, 'stuck':::STRING)``."""


def wrong_job_table(work: DeleteTree | Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find what the table of jobs lacks."""
    table, ddl = work.jobs.table, work.jobs.ddl()
    if catalog.relation(table) is None:
        detail = "the search path leads to none"
        yield Finding(code=FindingCode.NO_JOB_TABLE, table=table, detail=detail, remedy=ddl)
        return
    alter = f"ALTER TABLE {quoted(table)}"
    for one in catalog.lacking:
        if one.there:
            detail, remedy = (
                f"it is not of type {one.type}",
                f"ALTER COLUMN {one.name} TYPE {one.type}",
            )
        else:
            detail, remedy = "it has no such column", f"ADD COLUMN {one.name} {one.definition}"
        remedy = f"{alter} {remedy};"
        yield Finding(
            code=FindingCode.WRONG_JOB_TABLE,
            table=table,
            name=one.name,
            detail=detail,
            remedy=remedy,
        )
    for columns, partial, remedy in (
        (["id"], False, f"{alter} ADD PRIMARY KEY (id);"),
        (["task", "root"], True, ddl[ddl.index("CREATE UNIQUE INDEX") :]),
    ):
        if not any(
            one.unique
            and one.valid
            and one.columns == columns
            and (_is_unfinished(one.predicate) if partial else one.predicate is None)
            for one in catalog.indexes_of(table)
        ):
            only = f" WHERE {_UNFINISHED}" if partial else ""
            detail = (
                f"it has no unique index ({', '.join(columns)}){only}: a job would be there twice"
            )
            yield Finding(
                code=FindingCode.WRONG_JOB_TABLE, table=table, detail=detail, remedy=remedy
            )


def _is_unfinished(predicate: str | None) -> bool:
    """Whether an index has just the jobs that are not finished."""
    listed = _ONE_OF.fullmatch(predicate or "")
    return listed is not None and sorted(re.findall(r"'(\w+)'", listed[1])) == ["active", "stuck"]
