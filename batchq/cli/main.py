# SPDX-License-Identifier: MIT
"""``batchq``: the root command, with a group for each kind of job."""

from __future__ import annotations

import click

from batchq.cli.bulk import bulk


@click.group()
@click.version_option(package_name="batchq")
def batchq() -> None:
    """Run long jobs on PostgreSQL tables."""


batchq.add_command(bulk)
