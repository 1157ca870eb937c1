# SPDX-License-Identifier: MIT
"""Act 6: delete a VPC of 200,000 rules. The acts that measure come before it, because it leaves
much to vacuum."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from uuid import UUID

import psycopg

from batchq import run
from batchq.bulk import Report, progress_bar
from examples.datastore.datastore import DataStore
from examples.datastore.errors import NotFound, VpcHasSubnets
from examples.datastore.firewall import default_rules, rule_create
from examples.datastore.models import NewProject, NewSilo, NewVpc, VpcCreated
from examples.datastore.vpc_delete import vpc_fence
from examples.demo.console import check, console, headline
from examples.demo.delete_workers import (
    LEASE,
    resume_until_done,
    rows_done_and_left,
    run_until_killed,
)
from examples.demo.failure_report import Failure, show
from examples.demo.inspect_batch import batch_tree
from examples.demo.poll_reader import poll_reader

RULES = 200_000
ROWS = RULES + 1
"""Rows deleted with the VPC: its rules, and its router."""

_FILL = """\
INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
SELECT gen_random_uuid(), %s, 'rule-' || lpad(n::text, 6, '0'), 'inbound', 'deny', '{}', 1000
FROM generate_series(1, %s) AS n"""


def bulk_delete(conninfo: str, silo: NewSilo) -> None:
    """Fence it, kill the worker half way, and let another worker finish."""
    headline(6, f"Delete a VPC of {RULES:,} rules in chunks; no reader sees a part of it")
    with psycopg.connect(conninfo, autocommit=True) as conn:
        made = _large_vpc(conn, silo)
        with poll_reader(conninfo, made.vpc.id) as answers:
            job = _fence(conn, made)
            report = _in_two_halves(conninfo, conn, job)
        check("rows done and left, in the end", rows_done_and_left(conn, job), (ROWS, 0))
    check("jobs done by the second worker", report.jobs_done, 1)
    check("the second worker did not start again", report.rows <= ROWS - ROWS // 2, expected=True)
    all_rules = f"{RULES:,} rules"
    distinct = [answer for answer, _ in groupby(answers)]
    check("results of the reader, in order", distinct, [all_rules, "NotFound"])
    console.print(
        f"\n{ROWS - report.rows:,} rows by the first worker, {report.rows:,} by the second: each "
        f"counted once. A reader polled {len(answers):,} times meanwhile:\n"
        f"{answers.count(all_rules):,} times it saw all rules, then "
        f"{answers.count('NotFound'):,} times NotFound, and never a part of them."
    )


def _in_two_halves(conninfo: str, conn: psycopg.Connection[Any], job: UUID) -> Report:
    """Delete the first half in a subprocess, and the rest here."""
    console.print("A worker process deletes it in chunks, until it is killed half way (SIGKILL):")
    with progress_bar(console=console) as observer:
        run_until_killed(conninfo, observer, ROWS // 2)
    done, left = rows_done_and_left(conn, job)
    check("rows done and left, after the kill", done + left, ROWS)
    console.print(
        f"\nThe job has recorded {done:,} rows, and {left:,} are left. Another worker continues "
        f"once the lease of {LEASE.seconds} s has expired:"
    )
    conn.execute("ANALYZE vpc_firewall_rule")  # as autovacuum would do later
    with progress_bar(console=console) as observer:
        return resume_until_done(conn, observer)


def _large_vpc(conn: psycopg.Connection[Any], silo: NewSilo) -> VpcCreated:
    store = DataStore(conn)
    made = store.project_create(NewProject(silo_id=silo.id, name="large")).default_vpc
    conn.execute(_FILL, [made.vpc.id, RULES - len(made.rules)])
    conn.execute("ANALYZE vpc_firewall_rule")  # so that the progress bars know the total
    return made


def _fence(conn: psycopg.Connection[Any], made: VpcCreated) -> UUID:
    store, vpc = DataStore(conn), made.vpc
    console.print(batch_tree(vpc_fence(vpc)), "")
    show(
        conn,
        Failure(
            "Its default subnet still exists",
            vpc_fence(vpc),
            VpcHasSubnets,
            "vpc_fence/vpc_subnet",
            "guard refused a row",
        ),
    )
    store.subnet_delete(made.subnet.id)
    job = run(conn, vpc_fence(vpc))
    store.vpc_create(NewVpc(project_id=vpc.project_id, name=vpc.name))
    console.print("[bold]Without the subnet[/]: fenced. Its name is free at once.\n")
    show(
        conn,
        Failure(
            "A rule is added after the fence",
            rule_create(default_rules(vpc.id)[0]),
            NotFound,
            "rule_create/vpc",
            "guard saw 0 rows",
        ),
    )
    return job
