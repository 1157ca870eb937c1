# SPDX-License-Identifier: MIT
"""Act 5: the batch beside the same statements in an ordinary transaction, 5 ms from the server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from statistics import median
from time import perf_counter
from typing import Any

import psycopg
from attrs import field, frozen
from rich.table import Table

from batchq import run
from batchq.testing import Proxy, proxy
from examples.datastore.errors import LimitExceeded
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.silo import silo_create
from examples.demo import plain_transaction
from examples.demo.console import check, console, headline

_RTT = 0.005
_WARM_UP = 6  # psycopg prepares a statement at its sixth use, by one more round trip
_ROUNDS = 15
_ORDINARY = 10
"""BEGIN, eight statements, COMMIT or ROLLBACK: each waits for the one before."""

Create = Callable[[NewProject], object]


@frozen
class Variant:
    """One way to create a project, and its timings."""

    name: str
    create: Create
    flights: int
    """Round trips that it should take."""
    held: bool
    """If True, the proxy holds all answers until the whole flight is sent, which proves one round
    trip. A client that waits for each answer cannot be held."""
    seconds: list[float] = field(factory=list)


def compare_round_trips(conninfo: str, silo: NewSilo) -> None:
    """Run both variants alternately through a proxy, and count round trips."""
    headline(5, f"Round trips: {_RTT * 1000:g} ms from the server")
    with (
        proxy(conninfo, rtt=_RTT) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
    ):
        full = NewSilo(name="full in act 3")
        run(conn, silo_create(full, projects=0))
        table = Table("", "round trips", "time", title_justify="left", box=None, pad_edge=False)
        for result, target in (("success", silo), ("limit reached", full)):
            variants = _variants(conn)
            _interleave(link, variants, target, result)
            batch, transaction = (median(variant.seconds) * 1000 for variant in variants)
            for variant in variants:
                time = f"{median(variant.seconds) * 1000:6.1f} ms"
                table.add_row(f"{result}: {variant.name}", str(variant.flights), time)
            table.add_row("", "", f"[bold]{transaction / batch:6.1f} times[/]")
    console.print(table)
    console.print(
        f"\nMedians of {_ROUNDS} runs each, interleaved. The ordinary transaction holds its locks, "
        "first of all on the silo's row, for all of that time."
    )


def _variants(conn: psycopg.Connection[Any]) -> list[Variant]:
    return [
        Variant("batchq, one batch", lambda new: run(conn, project_create(new)), 1, held=True),
        Variant(
            "statement by statement, in conn.transaction()",
            lambda new: plain_transaction.project_create(conn, new),
            _ORDINARY,
            held=False,
        ),
    ]


def _interleave(link: Proxy, variants: list[Variant], silo: NewSilo, result: str) -> None:
    for number in range(-_WARM_UP, _ROUNDS):
        for variant in variants:
            new = NewProject(silo_id=silo.id, name=f"{variant.name} {number}")
            if variant.held:
                link.hold(syncs=2)
            with link.record() as recording:
                start = perf_counter()
                with suppress(LimitExceeded):
                    variant.create(new)
                took = perf_counter() - start
            if number >= 0:
                variant.seconds.append(took)
                check(f"{result}, {variant.name}: round trips", recording.flights, variant.flights)
