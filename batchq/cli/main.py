# SPDX-License-Identifier: MIT
"""``batchq``: the groups of commands."""

from __future__ import annotations

import click

from batchq.cli.bulk import bulk


@click.group()
@click.version_option(package_name="batchq")
def batchq() -> None:
    """Long jobs on tables, from the command line."""


batchq.add_command(bulk)
