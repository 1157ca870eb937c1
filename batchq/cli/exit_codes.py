# SPDX-License-Identifier: MIT
"""Exit codes of the commands, which a cron job or a service manager acts on."""

from __future__ import annotations

from enum import IntEnum

from batchq.bulk import Report, StopReason
from batchq.versions import NotYet, StillRunning, Unproven, VersionError

__all__ = ["Exit", "exit_of", "exit_of_refusal"]


class Exit(IntEnum):
    """Exit codes; click exits with 2 if the command line is wrong."""

    DONE = 0
    FAILED = 1
    """An operator has to look at something: an error, a finding, or a job that is stuck."""
    AGAIN = 75
    """Nothing is wrong, and the same command may succeed later. EX_TEMPFAIL of sysexits.h.

    Jobs are unfinished, and `resume` continues them; or an upgrade has not come this far.
    """
    INTERRUPTED = 130
    """128 plus the number of SIGINT, as shells report it."""


def exit_of(report: Report) -> Exit:
    """Return the exit code of a worker run."""
    if report.stop_reason is StopReason.INTERRUPTED:
        return Exit.INTERRUPTED
    if report.stop_reason is StopReason.FAILED or report.jobs_stuck or report.all_jobs_stuck:
        return Exit.FAILED
    return Exit.AGAIN if report.jobs_unfinished else Exit.DONE


def exit_of_refusal(error: VersionError) -> Exit:
    """Return the exit code if a version is not retired, or a contract may not run.

    An upgrade that has begun comes to the rest by itself, or by its next command or migration: its
    old processes end, their version is retired, time passes, rows are converted and proven. So a
    pipeline asks again. But no fleet, or a schema that is not expanded for the version (TooNew), is
    what no upgrade has begun with: the database is another one, or a migration is missing.
    """
    return Exit.AGAIN if isinstance(error, StillRunning | NotYet | Unproven) else Exit.FAILED
