# SPDX-License-Identifier: MIT
"""How the command line tells of jobs: lines for people, JSON for machines."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
from rich.console import Console

from batchq.bulk import Backlog, Job, Report


def as_dict(what: Backlog | Job | Report) -> dict[str, Any]:
    """Make a mapping that JSON can hold; intervals are in seconds."""
    return attrs.asdict(what, value_serializer=_plain)


def to_json(what: object) -> str:
    """Write JSON."""
    return json.dumps(what, indent=2)


def print_report(console: Console, report: Report) -> None:
    """Tell what an activation did, and what is left."""
    rows = ", ".join(f"{table}: {n:,}" for table, n in report.rows_by_table.items())
    console.print(
        f"{report.rows:,} rows in {report.chunks:,} chunks{f' ({rows})' if rows else ''}; "
        f"jobs: {report.jobs_done} done, {report.jobs_deferred} deferred, "
        f"{report.jobs_stuck} stuck, {report.jobs_waiting} unfinished",
        soft_wrap=True,
    )
    if report.jobs_refused:
        console.print(f"{report.jobs_refused} jobs are of another version of batchq: left alone")
    why = f" ({report.why})" if report.why else ""
    console.print(f"ended: {report.stopped.value}{why}", soft_wrap=True, markup=False)


def print_jobs(console: Console, name: str, backlog: Backlog, jobs: list[Job]) -> None:
    """Tell how the jobs of one tree stand."""
    oldest = "" if backlog.oldest is None else f"; the oldest has waited for {backlog.oldest}"
    console.print(
        f"{name}: {backlog.waiting} waiting, {backlog.held} held, {backlog.stuck} stuck, "
        f"{backlog.done} done, {backlog.abandoned} abandoned, {backlog.rows_done:,} rows{oldest}",
        soft_wrap=True,
    )
    for job in jobs:
        of = "" if job.expected is None else f" of about {job.expected:,}"
        told = (
            f"  {job.id}  {job.phase:<5}  root {job.root}: {job.rows_done:,}{of} rows, "
            f"{job.seq:,} steps, since {job.created_at:%Y-%m-%d %H:%M:%S%z}"
        )
        # Unwrapped, so that what is copied or searched for is in one line.
        console.print(told, soft_wrap=True, markup=False)
        if job.last_error:
            console.print(f"    {job.last_error}", soft_wrap=True, markup=False)


def _plain(_: object, __: object, value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.name.lower()
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case _:
            return value
