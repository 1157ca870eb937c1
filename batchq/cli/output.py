# SPDX-License-Identifier: MIT
"""Print jobs and reports: lines of text for a terminal, JSON for scripts."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
from rich.console import Console

from batchq.bulk import Job, Report
from batchq.bulk.job import QueueStats


def as_dict(value: QueueStats | Job | Report) -> dict[str, Any]:
    """Return a dict that JSON can hold; intervals are in seconds."""
    return attrs.asdict(value, value_serializer=_plain)


def to_json(value: object) -> str:
    """Return indented JSON."""
    return json.dumps(value, indent=2)


def print_report(console: Console, report: Report) -> None:
    """Print what a worker run did, and which jobs are left."""
    by_table = ", ".join(f"{table}: {n:,}" for table, n in report.rows_by_table.items())
    console.print(
        f"{report.rows:,} rows in {report.chunks:,} chunks{f' ({by_table})' if by_table else ''}; "
        f"jobs: {report.jobs_done} done, {report.jobs_released} released, "
        f"{report.jobs_stuck} stuck, {report.jobs_unfinished} unfinished",
        soft_wrap=True,
    )
    if report.jobs_skipped:
        console.print(f"{report.jobs_skipped} jobs are of another version of batchq: skipped")
    before = report.all_jobs_stuck - report.jobs_stuck
    if before > 0:
        console.print(
            f"stuck since an earlier run: {before}; `batchq bulk status TARGET` shows why",
            soft_wrap=True,
        )
    reason = f" ({command_words(report.detail)})" if report.detail else ""
    console.print(f"stopped: {report.stop_reason.value}{reason}", soft_wrap=True, markup=False)


def print_jobs(console: Console, name: str, backlog: QueueStats, jobs: list[Job]) -> None:
    """Print the jobs of one target."""
    oldest = (
        "" if backlog.oldest_age is None else f"; the oldest has waited for {backlog.oldest_age}"
    )
    console.print(
        f"{name}: {backlog.claimable} claimable, {backlog.leased} leased, {backlog.stuck} stuck, "
        f"{backlog.done} done, {backlog.abandoned} abandoned, {backlog.rows_done:,} rows{oldest}",
        soft_wrap=True,
    )
    for job in jobs:
        total = "" if job.expected is None else f" of about {job.expected:,}"
        line = (
            f"  {job.id}  {job.phase:<5}  root {job.root}: {job.rows_done:,}{total} rows, "
            f"{job.seq:,} steps, since {job.created_at:%Y-%m-%d %H:%M:%S%z}"
        )
        # Not wrapped, so that a job can be copied, and searched for, as one line.
        console.print(line, soft_wrap=True, markup=False)
        if job.last_error:
            console.print(f"    {command_words(job.last_error)}", soft_wrap=True, markup=False)


def command_words(text: str) -> str:
    """Replace the calls that a text of the library suggests by commands.

    >>> command_words("fix it; jobs.retry(UUID('7')) restarts it")
    'fix it; `batchq bulk resume TARGET --retry 7` restarts it'
    """
    for call, command in _COMMANDS:
        text = call.sub(command, text)
    return text


_COMMANDS = [
    (re.compile(r"\bjobs\.retry\(UUID\('([^']*)'\)\)"), r"`batchq bulk resume TARGET --retry \1`"),
    (re.compile(r"\b[Jj]obs\.retry\([^)]*\)"), "`batchq bulk resume TARGET --retry JOB`"),
    (re.compile(r"\b(?:tree\.)?adopt\([^)]*\)"), "`batchq bulk adopt TARGET JOB`"),
    (re.compile(r"\b(?:tree\.)?jobs\.abandon\([^)]*\)+"), "`batchq bulk abandon TARGET JOB`"),
    (
        re.compile(r"create it in a migration with the DDL that task\.jobs\.ddl\(\) returns"),
        "`batchq bulk preflight` prints the DDL to create it",
    ),
    (re.compile(r"^resume\(\): "), ""),
]


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
