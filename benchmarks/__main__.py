# SPDX-License-Identifier: MIT
"""Measure the cases one after the other, print a table of each, and keep the results in a file.

On the embedded PostgreSQL, on another server, some of the cases, and for longer with less noise::

    python -m benchmarks [FILE]
    python -m benchmarks --database=postgres|cockroach             # a container
    DATABASE_URL=postgresql://... python -m benchmarks --database=url
    python -m benchmarks -k project_create --times 5
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib.metadata import version
from pathlib import Path

import psycopg

from batchq.testing.databases import DATABASES, DatabaseUnavailable, database
from benchmarks.cases import CASES
from benchmarks.delay_proxy import delay_proxy, round_trip
from benchmarks.report import show, show_environment
from benchmarks.results import Result, save
from benchmarks.sandbox import SETTINGS


def environment(conninfo: str) -> dict[str, str]:
    """Return what the figures of a run depend on: a name and a text of each."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        text = "SELECT version(), current_setting('synchronous_commit'), current_setting('fsync')"
        server, synchronous, fsync = conn.execute(text).fetchone() or ("?",) * 3
    with delay_proxy(conninfo) as link:
        far, near = round_trip(link.conninfo) * 1e6, round_trip(conninfo) * 1e6
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "server": str(server).split(" on ")[0],
        "settings": f"synchronous_commit {synchronous}, fsync {fsync}",
        "Python": platform.python_version(),
        "psycopg": f"{version('psycopg')} ({psycopg.pq.__impl__}), libpq {psycopg.pq.version()}",
        "peers": f"asyncpg {version('asyncpg')}, SQLAlchemy {version('sqlalchemy')}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "delay proxy": f"{far:.0f} us a round trip by itself, beside {near:.0f} us directly",
        "load at the start": f"{load:.1f}",
    }


def main() -> str | None:
    """Measure and print; return what is wrong: a peer that has not done the work of the others."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="where to keep the results")
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases with this in the title")
    parser.add_argument("--times", type=int, default=1, help="so many times as many rounds")
    parser.add_argument("--database", choices=DATABASES, default="embedded")
    options = parser.parse_args()
    # psycopg's pipeline() warns of each failure, and these are expected.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    results: list[Result] = []
    try:
        with database(options.database, settings=SETTINGS) as running:
            found = environment(running.conninfo())
            show_environment(found)
            for case in CASES:
                if options.k in case.title:
                    results.append(case.measure(running.conninfo(), times=options.times))
                    show(results[-1:])
    except DatabaseUnavailable as error:
        return f"--database={options.database}: {error}"
    if options.file:
        save(options.file, found, results)
    wrong = [f"{each.title}: {', '.join(each.different)}" for each in results if each.different]
    return "\n".join(["these peers left other rows than the first one:", *wrong]) if wrong else None


if __name__ == "__main__":
    sys.exit(main())
