# SPDX-License-Identifier: MIT
"""Rules (``CREATE RULE``) of the tables that are swept, which do something else instead; and
triggers of those that are rewritten, which may keep a row as it was."""

from __future__ import annotations

from collections.abc import Iterator

from batchq.bulk.backfill import Rewrite
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Reason, Refusal
from batchq.bulk.tree import Tree
from batchq.engine.compile.quoting import identifier, quoted

_UPDATE, _DELETE = "2", "4"
"""PostgreSQL documentation, "pg_rewrite"."""
_COMMANDS = {_UPDATE: "UPDATE", _DELETE: "DELETE"}


def ruled(work: Tree | Rewrite, catalog: Catalog) -> Iterator[Refusal]:
    """Find rules of a command that is sent, in the tables that it names: a partition's own hold
    only for who names the partition."""
    sent = set(_sent(work))
    for rule in catalog.rules:
        if (rule.table, rule.event) in sent:
            yield Refusal(
                reason=Reason.RULE,
                table=rule.table,
                name=rule.name,
                why=f"it is ON {_COMMANDS[rule.event]}, and holds for every row or refuses a chunk",
                remedy=f"ALTER TABLE {quoted(rule.table)} DISABLE RULE {identifier(rule.name)};\n"
                f"or make it a trigger",
            )


def triggered(rewrite: Rewrite, catalog: Catalog) -> Iterator[Refusal]:
    """Find triggers that may leave a row due; whether one does, its function alone says."""
    for trigger in catalog.triggers:
        if trigger.updates and trigger.table == rewrite.table:
            yield Refusal(
                reason=Reason.TRIGGER,
                table=trigger.table,
                name=trigger.name,
                why="it is fired FOR EACH ROW that is updated: if it keeps one as it was, or sets "
                "it back, the job ends as stuck",
                remedy=f"DROP TRIGGER {identifier(trigger.name)} ON {quoted(trigger.table)};",
            )


def _sent(work: Tree | Rewrite) -> Iterator[tuple[str, str]]:
    if isinstance(work, Rewrite):
        yield work.table, _UPDATE
    else:
        for one in work.passes:
            yield one.table, _DELETE if one.sets is None else _UPDATE
        if work.parent.deleted_at is not None:
            yield work.parent.table, _UPDATE
        if work.removes:
            yield work.parent.table, _DELETE
    yield work.jobs.table, _UPDATE
