# SPDX-License-Identifier: MIT
"""Find rules (``CREATE RULE``) that may replace a command, and triggers for each row."""

from __future__ import annotations

from collections.abc import Container, Iterator

from batchq.bulk.backfill import Backfill
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier, quoted

_UPDATE, _DELETE = "2", "4"
"""PostgreSQL documentation, "pg_rewrite"."""
_COMMANDS = {_UPDATE: "UPDATE", _DELETE: "DELETE"}


def find_rules(task: DeleteTree | TableTask, catalog: Catalog) -> Iterator[Finding]:
    """Find rules of the commands that are sent, on the tables that these name: the rules of a
    partition apply only if a command names the partition."""
    commands = set(_commands(task))
    for rule in catalog.rules:
        if (rule.table, rule.event) in commands:
            yield Finding(
                code=FindingCode.RULE,
                table=rule.table,
                name=rule.name,
                detail=f"it is ON {_COMMANDS[rule.event]}, and changes each row or fails the chunk",
                remedy=f"ALTER TABLE {quoted(rule.table)} DISABLE RULE {identifier(rule.name)};\n"
                f"or make it a trigger",
            )


def find_update_triggers(backfill: Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find triggers that may leave a row due; only their functions show whether they do."""
    for trigger in catalog.triggers:
        if trigger.updates and trigger.table == backfill.table:
            yield Finding(
                code=FindingCode.TRIGGER,
                table=trigger.table,
                name=trigger.name,
                detail="it is fired FOR EACH ROW that is updated: if it keeps a row as it was, or "
                "sets it back, the job becomes stuck",
                remedy=f"DROP TRIGGER {identifier(trigger.name)} ON {quoted(trigger.table)};",
            )


def find_delete_triggers(tables: Container[str], catalog: Catalog) -> Iterator[Finding]:
    """Find triggers that are a part of each chunk that deletes."""
    for trigger in catalog.triggers:
        if trigger.deletes and trigger.table in tables:
            yield Finding(
                code=FindingCode.TRIGGER,
                table=trigger.table,
                name=trigger.name,
                detail="it is fired FOR EACH ROW that is deleted, as a part of each chunk",
                remedy=f"DROP TRIGGER {identifier(trigger.name)} ON {quoted(trigger.table)};",
            )


def _commands(task: DeleteTree | TableTask) -> Iterator[tuple[str, str]]:
    if isinstance(task, TableTask):
        yield task.table, _UPDATE if task.IN_PLACE else _DELETE
    else:
        for stage in task.stages:
            yield stage.table, _DELETE if stage.changes is None else _UPDATE
        if task.parent.deleted_at is not None:
            yield task.parent.table, _UPDATE
        if task.hard:
            yield task.parent.table, _DELETE
    yield task.jobs.table, _UPDATE
