# SPDX-License-Identifier: MIT
"""Rules (``CREATE RULE``) of the tables that are swept, which do something else instead; and
triggers of those that are rewritten, which may keep a row as it was."""

from __future__ import annotations

from collections.abc import Iterator

from batchq.bulk.backfill import Backfill
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier, quoted

_UPDATE, _DELETE = "2", "4"
"""PostgreSQL documentation, "pg_rewrite"."""
_COMMANDS = {_UPDATE: "UPDATE", _DELETE: "DELETE"}


def ruled(work: DeleteTree | Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find rules of a command that is sent, in the tables that it names: a partition's own hold
    only for who names the partition."""
    sent = set(_sent(work))
    for rule in catalog.rules:
        if (rule.table, rule.event) in sent:
            yield Finding(
                code=FindingCode.RULE,
                table=rule.table,
                name=rule.name,
                detail=f"it is ON {_COMMANDS[rule.event]}, applies to each row or fails the chunk",
                remedy=f"ALTER TABLE {quoted(rule.table)} DISABLE RULE {identifier(rule.name)};\n"
                f"or make it a trigger",
            )


def triggered(rewrite: Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find triggers that may leave a row due; whether one does, its function alone says."""
    for trigger in catalog.triggers:
        if trigger.updates and trigger.table == rewrite.table:
            yield Finding(
                code=FindingCode.TRIGGER,
                table=trigger.table,
                name=trigger.name,
                detail="it is fired FOR EACH ROW that is updated: if it keeps a row as it was, or "
                "sets it back, the job ends as stuck",
                remedy=f"DROP TRIGGER {identifier(trigger.name)} ON {quoted(trigger.table)};",
            )


def _sent(work: DeleteTree | Backfill) -> Iterator[tuple[str, str]]:
    if isinstance(work, Backfill):
        yield work.table, _UPDATE
    else:
        for one in work.stages:
            yield one.table, _DELETE if one.sets is None else _UPDATE
        if work.parent.deleted_at is not None:
            yield work.parent.table, _UPDATE
        if work.hard:
            yield work.parent.table, _DELETE
    yield work.jobs.table, _UPDATE
