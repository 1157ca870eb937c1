# SPDX-License-Identifier: MIT
"""Compare the job table with the one that the library's DDL creates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import quoted

_UNFINISHED = "(phase = ANY (ARRAY['active'::text, 'stuck'::text]))"
"""The predicate of the index on unfinished jobs, as PostgreSQL writes it."""
_PHASE_IN = re.compile(r"\W*phase\W+(?:=\W+ANY|IN)\b(.*)", re.DOTALL)
"""The same, or as CockroachDB may write it: ``phase IN ('active':::STRING, 'stuck':::STRING)``."""


def find_job_table_errors(task: DeleteTree | TableTask, catalog: Catalog) -> Iterator[Finding]:
    """Find what the job table lacks."""
    table, ddl = task.jobs.table, task.jobs.ddl()
    relation = catalog.relation(table)
    if relation is None or not relation.is_table:
        detail, remedy = "the search path leads to no such table", ddl
        if relation is not None:
            detail, remedy = "it is not a table", "name another one in Python: Jobs(table=…)"
        yield Finding(code=FindingCode.NO_JOB_TABLE, table=table, detail=detail, remedy=remedy)
        return
    alter = f"ALTER TABLE {quoted(table)}"
    for wanted in catalog.job_columns:
        if wanted.exists:
            detail = f"it is not of type {wanted.type}"
            change = f"ALTER COLUMN {wanted.name} TYPE {wanted.type}"
        else:
            detail, change = "it does not exist", f"ADD COLUMN {wanted.name} {wanted.definition}"
        yield Finding(
            code=FindingCode.WRONG_JOB_TABLE,
            table=table,
            name=wanted.name,
            detail=detail,
            remedy=f"{alter} {change};",
        )
    for columns, partial, remedy in (
        (["id"], False, f"{alter} ADD PRIMARY KEY (id);"),
        (["task", "root"], True, ddl[ddl.index("CREATE UNIQUE INDEX") :]),
    ):
        if not any(
            index.unique
            and index.valid
            and index.columns == columns
            and (_is_unfinished(index.predicate) if partial else index.predicate is None)
            for index in catalog.indexes_of(table)
        ):
            where = f" WHERE {_UNFINISHED}" if partial else ""
            yield Finding(
                code=FindingCode.WRONG_JOB_TABLE,
                table=table,
                detail=f"it has no unique index ({', '.join(columns)}){where}, so there could be "
                f"two rows for one job",
                remedy=remedy,
            )


def _is_unfinished(predicate: str | None) -> bool:
    """Return whether an index holds exactly the unfinished jobs."""
    match = _PHASE_IN.fullmatch(predicate or "")
    return match is not None and sorted(re.findall(r"'(\w+)'", match[1])) == ["active", "stuck"]
