# SPDX-License-Identifier: MIT
"""Options and arguments that several commands take."""

from __future__ import annotations

import click

from batchq.bulk import Backfill, DeleteRows, DeleteTree
from batchq.cli.target import Target

__all__ = [
    "Task",
    "dsn_option",
    "job_argument",
    "json_option",
    "target_argument",
    "targets_argument",
]

Task = DeleteTree | Backfill | DeleteRows

dsn_option = click.option(
    "--dsn",
    envvar="DATABASE_URL",
    default="",
    show_envvar=True,
    help="Connection string of the database. Default: libpq's PG… variables.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_task = Target[Task](DeleteTree, Backfill, DeleteRows, example="app.trees:VPC")
target_argument = click.argument("target", type=_task)
targets_argument = click.argument("targets", type=_task, nargs=-1, required=True)
job_argument = click.argument("job", type=click.UUID)
