# SPDX-License-Identifier: MIT
"""``batchq bulk resume``: run a worker until no job is left or a limit is reached."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID

import click
from attrs import evolve
from psycopg import Connection
from rich.console import Console

from batchq.bulk import Budget, ChunkSize, progress_bar, resume
from batchq.bulk.worker.options import ResumeOptions
from batchq.cli.connection import connected
from batchq.cli.exit_codes import Exit, exit_of
from batchq.cli.options import Task, dsn_option, json_option, targets_argument
from batchq.cli.output import as_dict, command_words, print_report, to_json
from batchq.cli.signals import StopSignals
from batchq.cli.status import status_command
from batchq.running.run import run

__all__ = ["resume_command"]

_positive = click.FloatRange(0, min_open=True)


@click.command("resume")
@targets_argument
@dsn_option
@json_option
@click.option("--owner", default=None, help="Name of this worker. Default: host and process id.")
@click.option("--max-chunks", type=click.IntRange(0), help="Stop after this many chunks.")
@click.option("--max-rows", type=click.IntRange(0), help="Start no chunk after this many rows.")
@click.option("--max-seconds", type=click.FloatRange(0), help="Start no chunk after this time.")
@click.option("--chunk-seconds", type=_positive, help="Time that a chunk should take.")
@click.option("--max-chunk-rows", type=click.IntRange(1), help="Rows of the largest chunk.")
@click.option(
    "--pause-ratio", type=click.FloatRange(0), default=0.0, help="Pause, per second of work."
)
@click.option("--timeout", type=_positive, default=5.0, show_default=True, help="Of a statement.")
@click.option("--lease", type=_positive, default=30.0, show_default=True, help="Of a job.")
@click.option("--retry", type=click.UUID, multiple=True, help="Also retry this stuck job.")
@click.option("--dry-run", is_flag=True, help="Show the jobs that would be processed.")
@click.option("--progress/--no-progress", default=None, help="Default: on a terminal.")
@click.pass_context
def resume_command(
    context: click.Context,
    targets: tuple[Task, ...],
    dsn: str,
    *,
    as_json: bool,
    owner: str | None,
    max_chunks: int | None,
    max_rows: int | None,
    max_seconds: float | None,
    chunk_seconds: float | None,
    max_chunk_rows: int | None,
    pause_ratio: float,
    timeout: float,
    lease: float,
    retry: tuple[UUID, ...],
    dry_run: bool,
    progress: bool | None,
) -> None:
    """Process the jobs until none is left or a limit is reached.

    The first Ctrl-C stops after the current chunk, the second one aborts that chunk. Either way
    no work is lost: run the command again.
    """
    if dry_run:
        context.invoke(status_command, targets=targets, dsn=dsn, as_json=as_json, older_than=None)
        return
    if timeout >= lease:
        raise click.UsageError(
            f"--timeout {timeout:g} must be less than --lease {lease:g}, both in seconds"
        )
    console = Console(stderr=True)
    show_bar = (console.is_terminal and not as_json) if progress is None else progress
    options: ResumeOptions = {
        "owner": owner or f"{socket.gethostname()}:{os.getpid()}",
        "budget": _budget(max_chunks, max_rows, max_seconds),
        "chunk_size": _chunk_size(chunk_seconds, max_chunk_rows),
        "pause_ratio": pause_ratio,
        "timeout": timeout,
        "lease": timedelta(seconds=lease),
    }
    with (
        connected(dsn, *(each.jobs.no_job_table for each in targets)) as connection,
        StopSignals(console) as signals,
    ):
        options["stop"] = signals.stop_requested
        for job in retry:
            _retry(connection, targets, job)
        try:
            with progress_bar(console=console) if show_bar else nullcontext() as observer:
                options["observers"] = [] if observer is None else [observer]
                report = resume(connection, targets, **options)
        except ValueError as error:
            raise click.UsageError(command_words(str(error))) from error
        except KeyboardInterrupt:
            console.print(
                f"Aborted a chunk; none of it was applied. Its job is locked for another "
                f"{lease:g} seconds; then run the same command to continue."
            )
            sys.exit(Exit.INTERRUPTED)
    if as_json:
        click.echo(to_json(as_dict(report)))
    else:
        print_report(Console(), report)
    sys.exit(exit_of(report))


def _retry(connection: Connection[Any], targets: tuple[Task, ...], job: UUID) -> None:
    """Make a stuck job claimable again; no-op if it has ended or is being processed.

    :raises click.UsageError: if there is no such job of these targets.
    """
    for target in targets:
        found = run(connection, target.jobs.get(job), read_only=True)
        if found is not None and found.task == target.name:
            run(connection, target.jobs.retry(job))
            return
    names = ", ".join(target.name for target in targets)
    raise click.UsageError(f"--retry {job}: {names} has no such job; see `batchq bulk status`")


def _budget(chunks: int | None, rows: int | None, seconds: float | None) -> Budget:
    limits = {"chunks": chunks, "rows": rows, "seconds": seconds}
    return Budget(**{name: limit for name, limit in limits.items() if limit is not None})


def _chunk_size(seconds: float | None, rows: int | None) -> ChunkSize:
    size = ChunkSize()
    if seconds is not None:
        size = evolve(size, target=seconds)
    if rows is not None:
        size = evolve(
            size, maximum=rows, initial=min(size.initial, rows), minimum=min(size.minimum, rows)
        )
    return size
