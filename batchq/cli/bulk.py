# SPDX-License-Identifier: MIT
"""``batchq bulk``: look at a long delete or rewrite, begin it, go on with it, see how it stands.

What a cron job needs of it is in the exit codes: see :class:`Exit`.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import nullcontext
from datetime import timedelta
from enum import IntEnum
from itertools import product
from typing import NoReturn
from uuid import UUID

import click
from attrs import evolve
from rich.console import Console

from batchq.bulk import (
    Backlog,
    Budget,
    ChunkSize,
    Deleted,
    Fenced,
    Report,
    Rewrite,
    Stopped,
    Tree,
    resume,
    start,
)
from batchq.bulk.activation.options import Options
from batchq.bulk.errors import AlreadyBegun
from batchq.bulk.planning.plan import plan
from batchq.bulk.watching.bar import bar
from batchq.cli.output import as_dict, print_jobs, print_report, to_json
from batchq.cli.signals import StopSignals
from batchq.cli.target import Target, Work, connected
from batchq.running.run import run


class Exit(IntEnum):
    """What a command says with its end; a wrong command line is 2, as everywhere."""

    DONE = 0
    FAILED = 1
    """Something has to be looked at: refused, failed, stuck."""
    AGAIN = 75
    """Jobs are left over, and nothing is wrong: EX_TEMPFAIL of sysexits.h, "try again later"."""
    INTERRUPTED = 130
    """128 and SIGINT's number, as shells say it."""


class _NoSuchParent(LookupError):
    """There is no such parent, or no longer."""


_dsn = click.option(
    "--dsn",
    envvar="DATABASE_URL",
    default="",
    show_envvar=True,
    help="The database; left out, what libpq's PG… variables say.",
)
_json = click.option("--json", "as_json_", is_flag=True, help="Write JSON, for machines.")
_one = click.argument("work", type=Target())
_several = click.argument("works", type=Target(), nargs=-1, required=True)
_key = click.argument("key", required=False)


@click.group()
def bulk() -> None:
    """Delete trees of rows, and rewrite rows, in chunks.

    WORK is a Tree or a Rewrite of yours, named as module:attribute.

    Exit codes: 0 done, 1 something has to be looked at, 2 wrong usage,
    75 jobs are left over (run it again), 130 interrupted.
    """


@bulk.command("plan")
@_one
@_key
@_dsn
def plan_command(work: Work, key: str | None, dsn: str) -> None:
    """Show what would be sent, and what would go wrong. Writes nothing.

    KEY is the parent's; a Rewrite has none.
    """
    _check_key(work, key)
    _plan(work, key, dsn)


@bulk.command("start")
@_one
@_key
@_dsn
@click.option("--dry-run", is_flag=True, help="As `plan`.")
def start_command(work: Work, key: str | None, dsn: str, *, dry_run: bool) -> None:
    """Delete the parent KEY: at once when it has few children, else fence it and leave a job.

    A Rewrite has no KEY; it leaves a job.
    """
    _check_key(work, key)
    if dry_run:
        _plan(work, key, dsn)
    with connected(dsn) as connection:
        try:
            begun: Deleted | Fenced
            if isinstance(work, Rewrite):
                begun = Fenced(run(connection, work.begin()))
            else:
                begun = start(connection, work, key, gone=_NoSuchParent(f"no {key} lives"))
        except (AlreadyBegun, _NoSuchParent) as error:
            raise click.ClickException(f"{work.name}: {error}") from error
    if isinstance(begun, Fenced):
        click.echo(f"job {begun.job} is left; `batchq bulk resume` goes on with it")
        sys.exit(Exit.AGAIN)
    click.echo(f"deleted, with {begun.rows:,} rows below it")


@bulk.command("resume")
@_several
@_dsn
@_json
@click.option("--owner", default=None, help="Who this is; left out, the host and the process.")
@click.option("--chunks", type=click.IntRange(0), help="At most so many chunks.")
@click.option("--rows", type=click.IntRange(0), help="Begin no chunk beyond so many rows.")
@click.option("--seconds", type=click.FloatRange(0), help="Begin no chunk after so long.")
@click.option("--target", type=click.FloatRange(0, min_open=True), help="Seconds of a chunk.")
@click.option("--most", type=click.IntRange(1), help="Rows of the largest chunk.")
@click.option("--rest", type=click.FloatRange(0), default=0.0, help="Rest, per second of work.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True)
@click.option("--lease", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True)
@click.option("--retry", type=click.UUID, multiple=True, help="Take up a stuck job, too.")
@click.option("--dry-run", is_flag=True, help="Show the jobs that would be taken up.")
@click.option("--progress/--no-progress", default=None, help="Default: on a terminal.")
@click.pass_context
def resume_command(
    context: click.Context,
    works: tuple[Work, ...],
    dsn: str,
    *,
    as_json_: bool,
    owner: str | None,
    chunks: int | None,
    rows: int | None,
    seconds: float | None,
    target: float | None,
    most: int | None,
    rest: float,
    timeout: float,
    lease: float,
    retry: tuple[UUID, ...],
    dry_run: bool,
    progress: bool | None,
) -> None:
    """Go on with the jobs until none is left or a bound is reached.

    The first Ctrl-C ends it behind the chunk that is being deleted, the second one abandons that
    chunk. Either way nothing is lost: run it again.
    """
    if dry_run:
        context.invoke(status_command, works=works, dsn=dsn, as_json_=as_json_, older_than=None)
        return
    console = Console(stderr=True)
    shown = (console.is_terminal and not as_json_) if progress is None else progress
    options: Options = {
        "owner": owner or f"{socket.gethostname()}:{os.getpid()}",
        "budget": _budget(chunks, rows, seconds),
        "size": _size(target, most),
        "rest": rest,
        "timeout": timeout,
        "lease": timedelta(seconds=lease),
    }
    with connected(dsn) as connection, StopSignals(console) as signals:
        options["stop"] = signals.stop_requested
        for work, job in product(works, retry):
            run(connection, work.jobs.retry(job))
        try:
            with bar(console=console) if shown else nullcontext() as watcher:
                options["watchers"] = [] if watcher is None else [watcher]
                report = resume(connection, works, **options)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            console.print(
                f"abandoned a chunk, of which nothing is kept; its job is free in {lease:g} "
                f"seconds, and the same command goes on with it"
            )
            sys.exit(Exit.INTERRUPTED)
    if as_json_:
        click.echo(to_json(as_dict(report)))
    else:
        print_report(Console(), report)
    sys.exit(_exit(report))


@bulk.command("status")
@_several
@_dsn
@_json
@click.option(
    "--older-than", type=click.FloatRange(0), help="Exit with 1 if a job is older, in seconds."
)
def status_command(
    works: tuple[Work, ...], dsn: str, *, as_json_: bool, older_than: float | None
) -> None:
    """Show the jobs. Exits with 1 when one is stuck."""
    console, wrong = Console(), False
    told: list[dict[str, object]] = []
    with connected(dsn) as connection:
        for work in works:
            backlog = run(connection, work.jobs.backlog(work.name), read_only=True)
            jobs = run(connection, work.jobs.all(work.name), read_only=True)
            told.append(
                {"name": work.name, **as_dict(backlog), "jobs": [as_dict(job) for job in jobs]}
            )
            if not as_json_:
                print_jobs(console, work.name, backlog, jobs)
            wrong = wrong or backlog.stuck > 0 or _late(backlog, older_than)
    if as_json_:
        click.echo(to_json(told))
    sys.exit(Exit.FAILED if wrong else Exit.DONE)


@bulk.command("abandon")
@_one
@click.argument("job", type=click.UUID)
@_dsn
def abandon_command(work: Work, job: UUID, dsn: str) -> None:
    """End a job for good: it deletes nothing more, and its parent may be fenced again.

    The parent and the children that are left stay as they are.
    """
    with connected(dsn) as connection:
        ended = run(connection, work.jobs.abandon(job))
    if not ended:
        raise click.ClickException(f"{work.name}: no job {job} is unfinished")
    click.echo(f"job {job} is abandoned")


@bulk.command("adopt")
@_one
@click.argument("job", type=click.UUID)
@_dsn
def adopt_command(work: Work, job: UUID, dsn: str) -> None:
    """Let a stuck job go on with its hidden parent, and its tables, as they are now.

    After a look at what has changed: `status` says it.
    """
    if isinstance(work, Rewrite):
        raise click.UsageError(f"{work.name} is a Rewrite: it has no parent that could change")
    with connected(dsn) as connection:
        seen = run(connection, work.jobs.read(job), read_only=True)
        if seen is None or not run(connection, work.adopt(seen)):
            raise click.ClickException(f"{work.name}: no job {job} is stuck with a hidden parent")
    click.echo(f"job {job} may go on; `batchq bulk resume` does")


def _check_key(work: Work, key: str | None) -> None:
    if isinstance(work, Rewrite) and key is not None:
        raise click.UsageError(f"{work.name} is a Rewrite: it is of a whole table and has no KEY")
    if isinstance(work, Tree) and key is None:
        raise click.UsageError(f"{work.name} is a Tree: which parent? Its KEY is missing")


def _plan(work: Work, key: str | None, dsn: str) -> NoReturn:
    with connected(dsn) as connection:
        planned = plan(connection, work, key)
    click.echo(str(planned))
    sys.exit(Exit.DONE if planned.ok else Exit.FAILED)


def _budget(chunks: int | None, rows: int | None, seconds: float | None) -> Budget:
    said = {"chunks": chunks, "rows": rows, "seconds": seconds}
    return Budget(**{name: bound for name, bound in said.items() if bound is not None})


def _size(target: float | None, most: int | None) -> ChunkSize:
    size = ChunkSize()
    if target is not None:
        size = evolve(size, target=target)
    if most is not None:
        size = evolve(size, most=most, first=min(size.first, most), least=min(size.least, most))
    return size


def _late(backlog: Backlog, seconds: float | None) -> bool:
    if seconds is None or backlog.oldest is None:
        return False
    return backlog.oldest > timedelta(seconds=seconds)


def _exit(report: Report) -> Exit:
    if report.stopped is Stopped.ASKED:
        return Exit.INTERRUPTED
    if report.stopped is Stopped.FAILED or report.jobs_stuck:
        return Exit.FAILED
    return Exit.AGAIN if report.jobs_waiting else Exit.DONE
