# SPDX-License-Identifier: MIT
"""``batchq bulk status``: show the jobs, and exit with 1 if one is stuck or too old."""

from __future__ import annotations

import sys
from datetime import timedelta

import click
from rich.console import Console

from batchq.bulk.job import QueueStats
from batchq.cli.connection import connected
from batchq.cli.exit_codes import Exit
from batchq.cli.options import Task, dsn_option, json_option, targets_argument
from batchq.cli.output import as_dict, print_jobs, to_json
from batchq.running.run import run

__all__ = ["status_command"]


@click.command("status")
@targets_argument
@dsn_option
@json_option
@click.option(
    "--older-than", type=click.FloatRange(0), help="Exit with 1 if a job is older, in seconds."
)
def status_command(
    targets: tuple[Task, ...], dsn: str, *, as_json: bool, older_than: float | None
) -> None:
    """Show the jobs. Exits with 1 if one is stuck."""
    console, wrong = Console(), False
    entries: list[dict[str, object]] = []
    with connected(dsn, *(each.jobs.no_job_table for each in targets)) as connection:
        for target in targets:
            backlog = run(connection, target.jobs.stats(target.name), read_only=True)
            jobs = run(connection, target.jobs.all(target.name), read_only=True)
            entries.append(
                {"name": target.name, **as_dict(backlog), "jobs": [as_dict(job) for job in jobs]}
            )
            if not as_json:
                print_jobs(console, target.name, backlog, jobs)
            wrong = wrong or backlog.stuck > 0 or _is_late(backlog, older_than)
    if as_json:
        click.echo(to_json(entries))
    sys.exit(Exit.FAILED if wrong else Exit.DONE)


def _is_late(backlog: QueueStats, seconds: float | None) -> bool:
    if seconds is None or backlog.oldest_age is None:
        return False
    return backlog.oldest_age > timedelta(seconds=seconds)
