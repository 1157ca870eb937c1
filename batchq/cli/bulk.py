# SPDX-License-Identifier: MIT
"""``batchq bulk``: delete trees and rows, and rewrite tables, in chunks, from a shell or from cron.

The exit code says whether jobs are left to `resume`, or a person has to look: see :class:`Exit`.
"""

from __future__ import annotations

import sys
from typing import NoReturn
from uuid import UUID

import click

from batchq.bulk import Deleted, DeleteTree, Fenced, JobExists, preflight, start
from batchq.bulk.errors import ParentKept
from batchq.bulk.preflight.findings import FindingCode
from batchq.cli.connection import connected
from batchq.cli.exit_codes import Exit
from batchq.cli.options import Task, dsn_option, job_argument, target_argument
from batchq.cli.resume import resume_command
from batchq.cli.status import status_command
from batchq.language.errors import BatchError
from batchq.running.run import run

__all__ = ["bulk"]


class _NoSuchParent(LookupError):
    """The parent does not exist, or is deleted already."""


_DATA = "22"
"""The class of SQLSTATEs of values (PostgreSQL documentation, appendix A)."""
_key_argument = click.argument("key", required=False)


@click.group()
def bulk() -> None:
    """Delete and rewrite rows in chunks.

    TARGET is a DeleteTree, Backfill or DeleteRows of your application, named as
    module:attribute.

    Exit codes: 0 done, 1 an operator has to look at something, 2 wrong usage,
    75 jobs are unfinished (`resume` continues them), 130 interrupted.
    """


bulk.add_command(resume_command)
bulk.add_command(status_command)


@bulk.command("preflight")
@target_argument
@_key_argument
@dsn_option
def preflight_command(target: Task, key: str | None, dsn: str) -> None:
    """Show the statements that `start` would send, and what would fail. Writes nothing.

    KEY is the key of the parent's row; only a DeleteTree has one.
    """
    _check_key(target, key)
    _preflight(target, key, dsn)


@bulk.command("start")
@target_argument
@_key_argument
@dsn_option
@click.option("--dry-run", is_flag=True, help="Same as `preflight`.")
def start_command(target: Task, key: str | None, dsn: str, *, dry_run: bool) -> None:
    """Delete the parent KEY at once if it has few children; else fence it and create a job.

    A Backfill or a DeleteRows has no KEY: its job is created.
    """
    _check_key(target, key)
    if dry_run:
        _preflight(target, key, dsn)
    with connected(dsn, target.jobs.no_job_table) as connection:
        try:
            begun: Deleted | Fenced
            if not isinstance(target, DeleteTree):
                begun = Fenced(run(connection, target.start()))
            else:
                begun = start(connection, target, key, missing=_NoSuchParent(f"no parent {key}"))
        except JobExists as error:
            raise click.ClickException(_unfinished(error)) from error
        except _NoSuchParent as error:
            raise click.ClickException(f"{target.name}: {error}") from error
        except ParentKept as error:
            message = f"{target.name}: a trigger or a rule keeps the row of parent {key}"
            raise click.ClickException(message) from error
        except BatchError as error:
            # The message may quote the key, which is on the command line already.
            violation = error.violation
            if key is None or violation is None or violation.sqlstate[:2] != _DATA:
                raise
            raise click.UsageError(f"KEY {key!r}: {violation.message}") from error
    if isinstance(begun, Fenced):
        click.echo(f"Created job {begun.job}; run `batchq bulk resume` to process it.")
        sys.exit(Exit.AGAIN)
    click.echo(f"Deleted the parent and {begun.rows:,} rows below it.")


@bulk.command("abandon")
@target_argument
@job_argument
@dsn_option
def abandon_command(target: Task, job: UUID, dsn: str) -> None:
    """End a job for good: it deletes nothing more, and its parent can be fenced again.

    The parent and its remaining children stay as they are.
    """
    with connected(dsn, target.jobs.no_job_table) as connection:
        ended = run(connection, target.jobs.abandon(job))
    if not ended:
        raise click.ClickException(f"{target.name}: no job {job} is unfinished")
    click.echo(f"Abandoned job {job}.")


@bulk.command("adopt")
@target_argument
@job_argument
@dsn_option
def adopt_command(target: Task, job: UUID, dsn: str) -> None:
    """Let a stuck job continue with its deleted parent, and its tables, as they are now.

    Look at what has changed first: `status` shows it.
    """
    if not isinstance(target, DeleteTree):
        kind = type(target).__name__
        raise click.UsageError(f"{target.name} is a {kind}: it has no parent that could change")
    with connected(dsn, target.jobs.no_job_table) as connection:
        seen = run(connection, target.jobs.get(job), read_only=True)
        if seen is None or not run(connection, target.adopt(seen)):
            raise click.ClickException(
                f"{target.name}: no job {job} is stuck with a deleted parent"
            )
    click.echo(f"Adopted job {job}; run `batchq bulk resume` to process it.")


def _unfinished(error: JobExists) -> str:
    which = "a job of this name" if error.job is None else f"job {error.job} of this parent"
    end = "" if error.job is None else f", and `batchq bulk abandon TARGET {error.job}` ends it"
    return (
        f"{error.task}: {which} is not finished; `batchq bulk resume TARGET` continues it, "
        f"`batchq bulk status TARGET` shows whether it is stuck{end}"
    )


def _check_key(target: Task, key: str | None) -> None:
    if not isinstance(target, DeleteTree):
        if key is not None:
            kind = type(target).__name__
            raise click.UsageError(f"{target.name} is a {kind} of a whole table: leave KEY out")
    elif key is None:
        raise click.UsageError(f"{target.name} is a DeleteTree: add the KEY of the parent's row")


def _preflight(target: Task, key: str | None, dsn: str) -> NoReturn:
    with connected(dsn, target.jobs.no_job_table) as connection:
        planned = preflight(connection, target, key)
    click.echo(str(planned))
    no_parent = any(found.code is FindingCode.NO_PARENT for found in planned.warnings)
    sys.exit(Exit.DONE if planned.ok and not no_parent else Exit.FAILED)
