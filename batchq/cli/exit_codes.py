# SPDX-License-Identifier: MIT
"""Exit codes of the commands, which a cron job or a service manager acts on."""

from __future__ import annotations

from enum import IntEnum

from batchq.bulk import Report, StopReason

__all__ = ["Exit", "exit_of"]


class Exit(IntEnum):
    """Exit codes; click exits with 2 if the command line is wrong."""

    DONE = 0
    FAILED = 1
    """An operator has to look at something: an error, a finding, or a job that is stuck."""
    AGAIN = 75
    """Jobs are unfinished and nothing is wrong: `resume` continues them. EX_TEMPFAIL of
    sysexits.h."""
    INTERRUPTED = 130
    """128 plus the number of SIGINT, as shells report it."""


def exit_of(report: Report) -> Exit:
    """Return the exit code of a worker run."""
    if report.stop_reason is StopReason.INTERRUPTED:
        return Exit.INTERRUPTED
    if report.stop_reason is StopReason.FAILED or report.jobs_stuck or report.all_jobs_stuck:
        return Exit.FAILED
    return Exit.AGAIN if report.jobs_unfinished else Exit.DONE
