# SPDX-License-Identifier: MIT
"""Print the demo's text, and check its claims: CI runs the demo too."""

from __future__ import annotations

import sys

from rich.console import Console

# A pipe has no width: use one in which no line is wrapped that a test searches for.
console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


class DemoCheckFailed(Exception):
    """A result differs from what the demo prints."""


def check(what: str, actual: object, expected: object) -> None:
    """Check a result that the demo prints.

    :raises DemoCheckFailed: if it differs.
    """
    if actual != expected:
        message = f"{what}: expected {expected!r}, got {actual!r}"
        raise DemoCheckFailed(message)


def headline(number: int, title: str) -> None:
    """Print the title of an act."""
    console.print()
    console.rule(f"[bold cyan]{number}[/]  [bold]{title}", align="left", style="cyan")
    console.print()
