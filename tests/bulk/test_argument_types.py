# SPDX-License-Identifier: MIT
"""Arguments of a wrong type are rejected with what to pass instead, before anything is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from batchq import ConnectionFailed, bulk, gather
from batchq.bulk import (
    Backfill,
    Budget,
    ChildDelete,
    ChunkSize,
    DeleteRows,
    DeleteTree,
    Jobs,
    Monitor,
)
from batchq.bulk.start import StartOptions
from batchq.bulk.throttles import query_throttle, replica_lag_throttle
from batchq.bulk.worker.options import ResumeOptions
from batchq.hierarchy import Parent
from tests.support.argument_types import (
    ANY,
    RAISES,
    Arguments,
    SilentAsyncPool,
    SilentPool,
    assert_rejects_wrong_types,
    call,
    parameters,
    public_methods,
)
from tests.support.vpcs import VPC

NONE = type(None)
FUNCTION = type(len)
NUMBER = (int, float)
JOB = UUID(int=1)
RULES = ChildDelete(relation=VPC.children("rule", by="vpc_id", deleted_at=None))
TREE = DeleteTree(name="vpc", parent=VPC, children=[RULES])
BACKFILL = Backfill(name="v2", table="rule", set={"v": 2}, where={"v": 1})

ROWS = DeleteRows(name="old", table="rule", where={"v": 1})

MADE_BY_THE_LIBRARY = {
    *("Deleted", "FenceBroken", "Fenced", "Job", "JobExists", "LeaseLost", "Progress", "Report"),
    *("StopReason", "TooManyRows"),
}
CALLED_BY_THE_WORKER = {
    *(
        f"{task}.{name}"
        for task in ("Backfill", "DeleteRows")
        for name in ("chunk", "due_now", "estimate", "finish", "mutation", "rescan")
    ),
    *(
        f"{task}.{name}"
        for task in ("Backfill", "DeleteRows")
        for name in ("scan_order", "where_at")
    ),
    *("ChildDelete.stages", "ChunkSize.sizer"),
    *("DeleteTree.chunk", "DeleteTree.finish", "DeleteTree.rescan", "DeleteTree.root"),
    *("Jobs.adopt", "Jobs.advance", "Jobs.claim", "Jobs.claimable", "Jobs.create"),
    *("Jobs.create_fenced", "Jobs.mark_done", "Jobs.mark_stuck", "Jobs.no_job_table"),
    *("Jobs.other_versions", "Jobs.release", "Jobs.renew_lease", "Jobs.rescan"),
    "Jobs.restart",
}

ERROR = LookupError("no such vpc")
FENCE: Arguments = {
    "key": (7, ANY),
    "missing": (ERROR, RAISES),
    "generation": (1, ANY),
    "stale": (ERROR, (*RAISES, NONE)),
}
START = {**FENCE, "tree": (TREE, (DeleteTree,)), "also": (gather(), (NONE,)), "job": (JOB, (NONE,))}
RESUME: Arguments = {
    "tasks": ([TREE], ()),
    "owner": ("cron", (str,)),
    "budget": (Budget(), (Budget,)),
    "chunk_size": (ChunkSize(), (ChunkSize,)),
    "lease": (timedelta(seconds=30), (timedelta,)),
    "timeout": (5.0, NUMBER),
    "throttles": ([], ()),
    "stop": (lambda: False, (FUNCTION,)),
    "pause_ratio": (0.0, NUMBER),
    "observers": ([], ()),
}
PREFLIGHT: Arguments = {
    "task": (TREE, (DeleteTree,)),
    "key": (7, ANY),
    "count_limit": (100, (int,)),
}
SYNC: Arguments = {"database": (SilentPool(), ())}
ASYNC: Arguments = {"database": (SilentAsyncPool(), ())}

CALLS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "Backfill": (
        Backfill,
        {
            "name": ("v2", (str,)),
            "table": ("rule", (str,)),
            "set": ({"v": 2}, (Mapping,)),
            "where": ({"v": 1}, (Mapping, FUNCTION)),
            "order": (["id"], (str,)),
            "jobs": (Jobs(), (Jobs,)),
        },
    ),
    "Backfill.start": (BACKFILL.start, {"job": (JOB, (UUID, NONE))}),
    "Budget": (Budget, dict.fromkeys(("chunks", "rows", "seconds"), (3, NUMBER))),
    "ChildDelete": (
        ChildDelete,
        {
            "relation": (RULES.relation, ()),
            "order": (["id"], (str,)),
            "set": (None, (Mapping, NONE)),
            "hard": (True, (bool,)),
            "children": ([], ()),
        },
    ),
    "ChunkSize": (
        ChunkSize,
        {
            "target": (0.1, NUMBER),
            "initial": (200, (int,)),
            "minimum": (10, (int,)),
            "maximum": (10_000, (int,)),
        },
    ),
    "DeleteRows": (
        DeleteRows,
        {
            "name": ("old", (str,)),
            "table": ("rule", (str,)),
            "where": ({"v": 1}, (Mapping, FUNCTION)),
            "order": (["id"], (str,)),
            "jobs": (Jobs(), (Jobs,)),
        },
    ),
    "DeleteRows.start": (ROWS.start, {"job": (JOB, (UUID, NONE))}),
    "DeleteTree": (
        DeleteTree,
        {
            "name": ("vpc", (str,)),
            "parent": (VPC, (Parent,)),
            "children": ([RULES], ()),
            "hard": (True, (bool,)),
            "guards": ([], ()),
            "jobs": (Jobs(), (Jobs,)),
            "inline_limit": (1_000, (int,)),
        },
    ),
    "DeleteTree.adopt": (TREE.adopt, {"job": (None, ())}),
    "DeleteTree.delete_now": (TREE.delete_now, FENCE),
    "DeleteTree.fence": (TREE.fence, {**FENCE, "job": (JOB, (NONE,))}),
    "Jobs": (Jobs, {"table": ("bulk_job", (str,))}),
    "Jobs.abandon": (Jobs().abandon, {"job": (JOB, ())}),
    "Jobs.all": (Jobs().all, {"task": ("vpc", (str,))}),
    "Jobs.get": (Jobs().get, {"job": (JOB, ())}),
    "Jobs.retry": (Jobs().retry, {"job": (JOB, ())}),
    "Jobs.stats": (Jobs().stats, {"task": ("vpc", (str,))}),
    "Monitor": (Monitor, {"max_events": (100, (int,))}),
    "apreflight": (bulk.apreflight, {**ASYNC, **PREFLIGHT}),
    "aresume": (bulk.aresume, {**ASYNC, **RESUME}),
    "astart": (bulk.astart, {**ASYNC, **START}),
    "preflight": (bulk.preflight, {**SYNC, **PREFLIGHT}),
    "progress_bar": (bulk.progress_bar, {"console": (None, (NONE,))}),
    "query_throttle": (query_throttle, {**SYNC, "query": ("SELECT 'busy'", (str,))}),
    "replica_lag_throttle": (
        replica_lag_throttle,
        {"primary": (SilentPool(), ()), "max_lag": (timedelta(seconds=1), (timedelta,))},
    ),
    "resume": (bulk.resume, {**SYNC, **RESUME}),
    "start": (bulk.start, {**SYNC, **START}),
}
OPTIONS: dict[str, type[Any]] = {
    **dict.fromkeys(("start", "astart"), StartOptions),
    **dict.fromkeys(("resume", "aresume"), ResumeOptions),
}


def test_table_has_every_public_function_and_its_parameters() -> None:
    """A new one fails here until it is in the table."""
    public = {name: getattr(bulk, name) for name in bulk.__all__} | {
        one.__name__: one for one in (query_throttle, replica_lag_throttle)
    }
    made = [one for name, one in public.items() if name not in MADE_BY_THE_LIBRARY]
    public |= public_methods(filter(inspect.isclass, made))
    assert public.keys() - MADE_BY_THE_LIBRARY - CALLED_BY_THE_WORKER == CALLS.keys()
    for name, (function, arguments) in CALLS.items():
        accepted = parameters(function, OPTIONS.get(name)) - {"params"}
        assert accepted == arguments.keys(), name


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_rejected_before_anything_is_sent(name: str) -> None:
    assert_rejects_wrong_types(*CALLS[name])


@pytest.mark.parametrize("name", [name for name in CALLS if name != "DeleteTree.adopt"])
def test_arguments_of_the_right_type_are_accepted(name: str) -> None:
    """Otherwise the test above could see another error."""
    function, arguments = CALLS[name]
    if {"database", "primary"}.isdisjoint(arguments) or "throttle" in name:
        call(function, arguments)
    else:
        with pytest.raises((LookupError, ConnectionFailed), match="connection"):
            call(function, arguments)


@pytest.mark.parametrize("function", [bulk.resume, bulk.aresume])
def test_database_of_the_other_kind_is_rejected_with_the_other_call(
    function: Callable[..., Any],
) -> None:
    other = SilentAsyncPool() if function is bulk.resume else SilentPool()
    advice = "await aresume" if function is bulk.resume else "; use resume"
    with pytest.raises(TypeError, match=advice):
        call(function, {**RESUME, "database": (other, ())})
