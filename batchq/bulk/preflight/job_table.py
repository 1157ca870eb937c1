# SPDX-License-Identifier: MIT
"""Whether the table of jobs is as this library writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchq.bulk.backfill import Rewrite
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Reason, Refusal
from batchq.bulk.tree import Tree
from batchq.engine.compile.quoting import quoted

_UNFINISHED = "(phase = ANY (ARRAY['drain'::text, 'stuck'::text]))"
"""As PostgreSQL writes the predicate of the index that keeps a second job out."""
_ONE_OF = re.compile(r"\W*phase\W+(?:=\W+ANY|IN)\b(.*)", re.DOTALL)
"""As that does, and as CockroachDB may: ``phase IN ('drain':::STRING, 'stuck':::STRING)``."""


def wrong_job_table(work: Tree | Rewrite, catalog: Catalog) -> Iterator[Refusal]:
    """Find what the table of jobs lacks."""
    table, ddl = work.jobs.table, work.jobs.ddl()
    if catalog.relation(table) is None:
        why = "the search path leads to none"
        yield Refusal(reason=Reason.NO_JOBS, table=table, why=why, remedy=ddl)
        return
    alter = f"ALTER TABLE {quoted(table)}"
    for one in catalog.lacking:
        if one.there:
            why, remedy = (
                f"it is not of type {one.type}",
                f"ALTER COLUMN {one.name} TYPE {one.type}",
            )
        else:
            why, remedy = "it has no such column", f"ADD COLUMN {one.name} {one.definition}"
        remedy = f"{alter} {remedy};"
        yield Refusal(reason=Reason.OTHER_JOBS, table=table, name=one.name, why=why, remedy=remedy)
    for columns, partial, remedy in (
        (["id"], False, f"{alter} ADD PRIMARY KEY (id);"),
        (["tree", "root"], True, ddl[ddl.index("CREATE UNIQUE INDEX") :]),
    ):
        if not any(
            one.unique
            and one.valid
            and one.columns == columns
            and (_is_unfinished(one.predicate) if partial else one.predicate is None)
            for one in catalog.indexes_of(table)
        ):
            only = f" WHERE {_UNFINISHED}" if partial else ""
            why = f"it has no unique index ({', '.join(columns)}){only}: a job would be there twice"
            yield Refusal(reason=Reason.OTHER_JOBS, table=table, why=why, remedy=remedy)


def _is_unfinished(predicate: str | None) -> bool:
    """Whether an index has just the jobs that are not finished."""
    listed = _ONE_OF.fullmatch(predicate or "")
    return listed is not None and sorted(re.findall(r"'(\w+)'", listed[1])) == ["drain", "stuck"]
