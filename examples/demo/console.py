# SPDX-License-Identifier: MIT
"""Telling a person what happens, and making sure that it does: CI runs the demo too."""

from __future__ import annotations

import sys

from rich.console import Console

# A pipe has no width: wide enough then that no line that somebody looks for is broken.
console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


class DemoCheckFailed(Exception):
    """Something came out otherwise than the demo says."""


def check(what: str, seen: object, told: object) -> None:
    """Make sure of what is being told.

    :raises DemoCheckFailed: when it is not so.
    """
    if seen != told:
        message = f"{what}: told {told!r}, but it is {seen!r}"
        raise DemoCheckFailed(message)


def headline(number: int, title: str) -> None:
    """Begin an act."""
    console.print()
    console.rule(f"[bold cyan]{number}[/]  [bold]{title}", align="left", style="cyan")
    console.print()
