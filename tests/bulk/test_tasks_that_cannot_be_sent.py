# SPDX-License-Identifier: MIT
"""A task whose steps cannot be sent says so, and is not in the way of others."""

from __future__ import annotations

from typing import Any

import pytest

from batchq import InvalidBatch, param, run
from batchq.bulk import Backfill, ChildDelete, DeleteRows, DeleteTree, StopReason, resume
from tests.support.vpcs import VPC


class Odd:
    """No adapter of psycopg knows it, but one of the connection might."""


def tree(name: str) -> DeleteTree:
    rules = VPC.children("rule", by="vpc_id", deleted_at=None, where={"name": Odd()})
    return DeleteTree(name=name, parent=VPC, children=[ChildDelete(relation=rules)])


TASKS: dict[str, Any] = {
    "rows": DeleteRows(name="a", table="rule", where={"name": Odd()}),
    "rows in the order of a range": DeleteRows(name="a", table="rule", where={"id": Odd()}),
    "backfill": Backfill(name="a", table="rule", set={"name": Odd()}, where={"name": None}),
    "tree": tree("a"),
}
OTHER = DeleteRows(name="other", table="rule", where={"vpc_id": 2})


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_job_is_released_with_the_reason_and_other_tasks_are_done(estate: Any, task: Any) -> None:
    started = task.start() if task is not TASKS["tree"] else task.fence(1, missing=LookupError)
    job = run(estate.conn, started)
    run(estate.conn, OTHER.start())
    report = resume(estate.conn, [task, OTHER], owner="test")
    assert (report.stop_reason, report.retries) == (StopReason.FAILED, 0)
    assert (report.jobs_done, report.jobs_released, report.rows) == (1, 1, 10)
    found = run(estate.conn, OTHER.jobs.get(job))
    assert found is not None
    assert (found.phase, found.last_error) == ("active", report.detail)
    assert "an Odd, cannot be sent" in report.detail
    assert estate.left() == 1_000


LATER: dict[str, Any] = {
    "None": None,
    "no condition": [],
    "an empty one": {},
    "a list of an empty one": [{}],
    "a value": {"name": Odd()},
    "an error": KeyError("secret"),
}


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
def test_function_that_fails_later_is_the_reason(estate: Any, later: Any) -> None:
    answers: list[Any] = [{"name": "x"}]

    def where(_: object) -> Any:
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    task = DeleteRows(name="a", table="rule", where=where)
    for each in (task, OTHER):
        run(estate.conn, each.start())
    answers[0] = later
    report = resume(estate.conn, [task, OTHER], owner="test")
    assert (report.stop_reason, report.jobs_done, report.rows) == (StopReason.FAILED, 1, 10)
    assert "where=" in report.detail or "cannot be sent" in report.detail
    assert "secret" not in report.detail
    assert estate.left() == 1_000


MIXED = {
    "rows": lambda: DeleteRows(name="a", table="t", where={"id": [1, 2.5]}),
    "set": lambda: Backfill(name="a", table="t", set={"v": [1, "a"]}, where={"id": 1}),
    "due": lambda: Backfill(name="a", table="t", set={"v": 1}, where={"id": [1, "a"]}),
    "children": lambda: ChildDelete(
        relation=VPC.children("t", by="vpc_id", deleted_at=None, where={"kind": [1, "a"]})
    ),
    "set of children": lambda: ChildDelete(
        relation=VPC.children("t", by="vpc_id", deleted_at=None),
        hard=False,
        set={"vpc_id": None, "v": [1, "a"]},
    ),
}


@pytest.mark.parametrize("declare", MIXED.values(), ids=MIXED)
def test_list_of_several_types_is_rejected_where_it_is_declared(declare: Any) -> None:
    with pytest.raises(InvalidBatch, match="a list cannot be sent: cannot dump lists of mixed"):
        declare()


def test_parameter_among_the_values_of_children_is_rejected() -> None:
    kinds = VPC.children("t", by="vpc_id", deleted_at=None, where={"kind": param("kind", str)})
    with pytest.raises(InvalidBatch, match="has no value here"):
        ChildDelete(relation=kinds)
