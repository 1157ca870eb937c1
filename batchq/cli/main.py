# SPDX-License-Identifier: MIT
"""``batchq``: the root command, with a group for each kind of work."""

from __future__ import annotations

import click

from batchq.cli.bulk import bulk
from batchq.cli.versions import versions


@click.group()
@click.version_option(package_name="batchq")
def batchq() -> None:
    """Run long jobs on PostgreSQL tables, and upgrade the services that share them."""


batchq.add_command(bulk)
batchq.add_command(versions)
