# SPDX-License-Identifier: MIT
"""``batchq`` and ``python -m batchq``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or exit with the extra that it needs."""
    try:
        from batchq.cli.main import batchq  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f'the command line needs {error.name}: pip install "batchq[cli]"')
    batchq(prog_name="batchq")


if __name__ == "__main__":
    main()
