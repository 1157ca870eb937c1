# SPDX-License-Identifier: MIT
"""Act 1: inspect a batch, which is a value, and run it."""

from __future__ import annotations

from typing import Any

import psycopg
from rich.markup import escape
from rich.pretty import Pretty
from rich.tree import Tree

from batchq import Batch, Step, run, steps
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import TABLES
from examples.demo.console import check, console, headline
from examples.demo.database import row_count

_BUG = "InvariantViolation"
_STATEMENTS = 8
_PATHS = (
    "project_create/silo",
    "project_create/project",
    "project_create/default_vpc/vpc",
    "project_create/default_vpc/router",
    "project_create/default_vpc/subnet",
    "project_create/default_vpc/rules",
    "project_create/default_vpc/rules",
    "project_create/limit",
)


def inspect_batch(conn: psycopg.Connection[Any], silo: NewSilo) -> None:
    """Show the steps of project_create, and its result."""
    headline(1, "A batch is a value: its steps, and the exception for each failure")
    new = NewProject(silo_id=silo.id, name="web", description="our shop")
    batch = project_create(new)
    console.print("[dim]batch = project_create(NewProject(...))   # nothing is sent yet[/]\n")
    console.print(batch_tree(batch))
    console.print(
        "\n[green]Green[/] is the caller's mistake, [red]red[/] a bug of the service. In "
        "default_vpc every mapped failure is a bug,\nbecause the batch around it has "
        '.as_invariant("creating the default VPC").'
    )
    check("paths of its steps", tuple(step.path for step in steps(batch)), _PATHS)

    before = row_count(conn)
    console.print("\n[dim]created = run(conn, batch)   # one transaction, one round trip[/]\n")
    created = run(conn, batch)
    console.print(Pretty(created, indent_size=2, max_depth=2, expand_all=True))
    rows = row_count(conn) - before
    # Two of the eight statements are updates.
    check("rows added", rows, _STATEMENTS - 2)
    check("id in the result", created.project.id, new.id)
    console.print(f"\n{rows} new rows in {len(TABLES)} tables.")


def batch_tree(batch: Batch[Any]) -> Tree:
    """Draw a batch by paths of its steps."""
    root = Tree("", hide_root=True)
    branches = {"": root}
    for step in steps(batch):
        path = ""
        for name in step.path.split("/"):
            parent, path = path, f"{path}/{name}"
            if path not in branches:
                branches[path] = branches[parent].add(f"[bold]{escape(name)}[/]")
        _add_step(branches[path], step)
    return root


def _add_step(branch: Tree, step: Step) -> None:
    guard = step.guard
    condition = f"   [yellow]{guard}[/]" if guard else ""
    leaf = branch.add(f"[cyan]{step.index}[/] {escape(step.statement.title)}{condition}")
    is_invariant = False
    causes: dict[str, list[str]] = {}
    for meaning in step.mappings:  # strongest first
        cause, _, exception = meaning.rpartition(" -> ")
        if cause.startswith("inside "):
            is_invariant = True
            continue
        colour = "red" if exception == _BUG else "green"
        name = f"[{colour}]{exception}[/]"
        if is_invariant and exception != _BUG:
            name = f"[red]{_BUG}[/], instead of {exception},"
        causes.setdefault(name, []).append(cause)
    for name, those in causes.items():
        leaf.add(f"{name} [dim]for {escape(', '.join(those))}[/]")
