# SPDX-License-Identifier: MIT
"""Act 6: a VPC of 200,000 rules is deleted. It stands last, for all that it leaves to vacuum."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from uuid import UUID

import psycopg

from batchq import run
from batchq.bulk import Report
from batchq.bulk.progress.bar import bar
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
"""What goes with the VPC: its rules, and its router."""

_FILL = """\
INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
SELECT gen_random_uuid(), %s, 'rule-' || lpad(n::text, 6, '0'), 'inbound', 'deny', '{}', 1000
FROM generate_series(1, %s) AS n"""


def bulk_delete(conninfo: str, silo: NewSilo) -> None:
    """Fence it, kill the process that deletes it half way, and let somebody else go on."""
    headline(6, f"A VPC of {RULES:,} rules is deleted, and nobody ever sees half of it")
    with psycopg.connect(conninfo, autocommit=True) as conn:
        made = _large_vpc(conn, silo)
        with poll_reader(conninfo, made.vpc.id) as answers:
            job = _fence(conn, made)
            report = _in_two_halves(conninfo, conn, job)
        check("what is done and what is left, in the end", rows_done_and_left(conn, job), (ROWS, 0))
    check("the jobs that the second has done", report.jobs_done, 1)
    check("that the second did not begin anew", report.rows <= ROWS - ROWS // 2, told=True)
    all_of_it = f"{RULES:,} rules"
    in_turn = [answer for answer, _ in groupby(answers)]
    check("what the reader saw, in turn", in_turn, [all_of_it, "NotFound"])
    console.print(
        f"\n{ROWS - report.rows:,} rows by the first, {report.rows:,} by the second: each counted "
        f"once. Meanwhile a reader asked {len(answers):,} times:\n{answers.count(all_of_it):,} "
        f"times it saw all of it, then {answers.count('NotFound'):,} times NotFound, and never "
        "anything between."
    )


def _in_two_halves(conninfo: str, conn: psycopg.Connection[Any], job: UUID) -> Report:
    """Let a process do the first half, and do the rest here."""
    console.print("A process deletes it in chunks, until it is killed half way (SIGKILL):")
    with bar(console=console) as watcher:
        run_until_killed(conninfo, watcher, ROWS // 2)
    done, left = rows_done_and_left(conn, job)
    check("what is done and what is left, when it was killed", done + left, ROWS)
    console.print(
        f"\nThe job says {done:,} rows done, and {left:,} are left. Another process goes on, as "
        f"soon as the dead one's lease of {LEASE.seconds} s has ended:"
    )
    conn.execute("ANALYZE vpc_firewall_rule")  # as autovacuum would, some time
    with bar(console=console) as watcher:
        return resume_until_done(conn, watcher)


def _large_vpc(conn: psycopg.Connection[Any], silo: NewSilo) -> VpcCreated:
    store = DataStore(conn)
    made = store.project_create(NewProject(silo_id=silo.id, name="large")).default_vpc
    conn.execute(_FILL, [made.vpc.id, RULES - len(made.rules)])
    conn.execute("ANALYZE vpc_firewall_rule")  # so that the bars know how long they are
    return made


def _fence(conn: psycopg.Connection[Any], made: VpcCreated) -> UUID:
    store, vpc = DataStore(conn), made.vpc
    console.print(batch_tree(vpc_fence(vpc)), "")
    show(
        conn,
        Failure(
            "Its default subnet is in the way",
            vpc_fence(vpc),
            VpcHasSubnets,
            "vpc_fence/vpc_subnet",
            "guard refused a row",
        ),
    )
    store.subnet_delete(made.subnet.id)
    job = run(conn, vpc_fence(vpc))
    store.vpc_create(NewVpc(project_id=vpc.project_id, name=vpc.name))
    console.print("[bold]Without the subnet[/]: hidden. Its name is free at once.\n")
    show(
        conn,
        Failure(
            "Somebody adds a rule behind the fence",
            rule_create(default_rules(vpc.id)[0]),
            NotFound,
            "rule_create/vpc",
            "guard saw 0 rows",
        ),
    )
    return job
