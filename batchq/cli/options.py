# SPDX-License-Identifier: MIT
"""Options and arguments that several commands take."""

from __future__ import annotations

import click

from batchq.cli.target import Target

__all__ = ["dsn_option", "job_argument", "json_option", "target_argument", "targets_argument"]

dsn_option = click.option(
    "--dsn",
    envvar="DATABASE_URL",
    default="",
    show_envvar=True,
    help="Connection string of the database. Default: libpq's PG… variables.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
target_argument = click.argument("target", type=Target())
targets_argument = click.argument("targets", type=Target(), nargs=-1, required=True)
job_argument = click.argument("job", type=click.UUID)
