# SPDX-License-Identifier: MIT
"""Run the command line: ``batchq`` or ``python -m batchq``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without its dependencies, exit and name the extra to install."""
    try:
        from batchq.cli.main import batchq  # noqa: PLC0415  click and rich are an extra
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f'batchq: {error.name} is not installed; run pip install "batchq[cli]"')
    batchq(prog_name="batchq")


if __name__ == "__main__":
    main()
