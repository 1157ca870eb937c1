# SPDX-License-Identifier: MIT
"""``batchq versions``: let versions of a service run, retire them, and ask what may be dropped.

For a pipeline, and for any tool that migrates: ``batchq versions contract … && pgroll complete``.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click

from batchq.cli.connection import connected
from batchq.cli.options import dsn_option, json_option
from batchq.cli.output import to_json
from batchq.cli.target import Target
from batchq.cli.versions_output import status_dict, status_lines, window_line
from batchq.running.run import run
from batchq.versions import Fleet, Proof
from batchq.versions.fleet_arguments import GREATEST, LONGEST

__all__ = ["versions"]

_version = click.IntRange(1, GREATEST)
_fleet_argument = click.argument("fleet", type=Target(Fleet, example="app.fleet:FLEET"))


class _ProofName(click.ParamType[Proof | tuple[str, int]]):
    """Convert ``table:version``, or the ``module:attribute`` of a Proof."""

    name = "table:version"
    _proof = Target(Proof, example="app.images:PROOF")

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Proof | tuple[str, int]:
        table, _, version = str(value).rpartition(":")
        if table and version.isdecimal():
            return table, _version.convert(int(version), param, ctx)
        if isinstance(value, str) and ":" not in value:
            self.fail(f"{value!r} is neither table:version nor module:attribute", param, ctx)
        return self._proof.convert(value, param, ctx)


@click.group()
def versions() -> None:
    """Let versions of a service run, and retire them.

    `contract` asks whether what retired versions needed may be dropped.

    FLEET is a Fleet of your application, named as module:attribute.

    Exit codes: 0 yes; 75 not yet, ask again later: a process of an old version
    is running, its version is not retired or only since a short time, or rows
    are not proven to be converted; 1 an operator has to look at something: no
    such fleet, a schema that is not expanded for the version, an error;
    2 wrong usage; 130 interrupted.
    """


@versions.command("status")
@_fleet_argument
@dsn_option
@json_option
def status_command(fleet: Fleet, dsn: str, *, as_json: bool) -> None:
    """Show the versions that may run, and the processes."""
    with connected(dsn) as connection:
        status = run(connection, fleet.status(), read_only=True)
    if as_json:
        click.echo(to_json(status_dict(fleet, status)))
    else:
        click.echo("\n".join(status_lines(fleet, status)))


@versions.command("expand")
@_fleet_argument
@click.argument("version", type=_version)
@dsn_option
def expand_command(fleet: Fleet, version: int, dsn: str) -> None:
    """Let VERSION run, after the migration that adds what it needs.

    For a tool whose migrations are not in Python; else call expand() in the migration.
    """
    with connected(dsn) as connection:
        window = run(connection, fleet.expand(version))
    click.echo(window_line(fleet, window))


@versions.command("retire")
@_fleet_argument
@click.argument("below", type=_version)
@dsn_option
def retire_command(fleet: Fleet, below: int, dsn: str) -> None:
    """Retire the versions below BELOW. There is no way back: they never run again.

    Exits with 75 while a process of such a version is running.
    """
    with _usage("BELOW"):
        batch = fleet.retire(below=below)
    with connected(dsn) as connection:
        # Above this level it would fail if a process joins meanwhile.
        window = run(connection, batch, isolation="read committed")
    click.echo(window_line(fleet, window))


@versions.command("contract")
@_fleet_argument
@click.option(
    "--unused-since",
    type=_version,
    required=True,
    help="The first version that does not use what is to be dropped.",
)
@click.option(
    "--proof",
    "proofs",
    type=_ProofName(),
    multiple=True,
    help="A stamped table, and the version that none of its rows may be below; or the "
    "module:attribute of a Proof. Can be repeated.",
)
@click.option(
    "--after",
    type=click.FloatRange(0, LONGEST.total_seconds()),
    default=3600.0,
    show_default=True,
    help="Seconds for which the older versions must have been retired: longer than any "
    "transaction of them.",
)
@dsn_option
def contract_command(
    fleet: Fleet,
    unused_since: int,
    proofs: tuple[Proof | tuple[str, int], ...],
    after: float,
    dsn: str,
) -> None:
    """Ask whether what older versions need may be dropped. Writes nothing.

    Exits with 75 if not yet. A yes stays true, until the constraint of a proof is dropped.
    """
    with _usage("--proof"):
        given = [each if isinstance(each, Proof) else fleet.proof(*each) for each in proofs]
    with _usage("--after"):
        batch = fleet.contract(
            unused_since=unused_since, proofs=given, after=timedelta(seconds=after)
        )
    with connected(dsn) as connection:
        run(connection, batch, read_only=True)
    click.echo(f"{fleet.name}: what no version uses since {unused_since} may be dropped")


@contextmanager
def _usage(parameter: str) -> Generator[None]:
    """Report what a call rejects as a wrong value of a parameter, without the call's name."""
    try:
        yield
    except ValueError as error:  # an InvalidBatch is one
        _, _, wrong = str(error).rpartition("): ")
        raise click.BadParameter(wrong, param_hint=parameter) from error
