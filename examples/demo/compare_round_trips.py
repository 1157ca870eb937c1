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
_WARM_UP = 6  # to prepare a statement the sixth time, psycopg takes a round trip more
_ROUNDS = 15
_ORDINARY = 10
"""BEGIN, eight statements, COMMIT or ROLLBACK: each waits for the one before."""

Create = Callable[[NewProject], object]


@frozen
class Variant:
    """One way to create a project, and what it took."""

    name: str
    create: Create
    flights: int
    """How many round trips it is told to take."""
    held: bool
    """Whether all answers are held back until all has been sent, which is what one round trip is.
    One that waits for each answer cannot be held, nor sent on before it."""
    seconds: list[float] = field(factory=list)


def compare_round_trips(conninfo: str, silo: NewSilo) -> None:
    """Run both in turns through a proxy, and count what goes over the wire."""
    headline(5, f"Round trips: {_RTT * 1000:g} ms away from the server")
    with (
        proxy(conninfo, rtt=_RTT) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
    ):
        full = NewSilo(name="full in act 3")
        run(conn, silo_create(full, projects=0))
        table = Table("", "round trips", "time", title_justify="left", box=None, pad_edge=False)
        for what, where in (("it succeeds", silo), ("the limit is reached", full)):
            variants = _variants(conn)
            _interleave(link, variants, where, what)
            batch, transaction = (median(variant.seconds) * 1000 for variant in variants)
            for variant in variants:
                time = f"{median(variant.seconds) * 1000:6.1f} ms"
                table.add_row(f"{what}: {variant.name}", str(variant.flights), time)
            table.add_row("", "", f"[bold]{transaction / batch:6.1f} times[/]")
    console.print(table)
    console.print(
        f"\nMedians of {_ROUNDS} runs each, in turns. Meanwhile the ordinary transaction holds its "
        "locks, the silo's row first of all."
    )


def _variants(conn: psycopg.Connection[Any]) -> list[Variant]:
    return [
        Variant("batchq, one batch", lambda new: run(conn, project_create(new)), 1, held=True),
        Variant(
            "ordinary, with conn.transaction()",
            lambda new: plain_transaction.project_create(conn, new),
            _ORDINARY,
            held=False,
        ),
    ]


def _interleave(link: Proxy, variants: list[Variant], silo: NewSilo, what: str) -> None:
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
                check(f"{what}, {variant.name}: round trips", recording.flights, variant.flights)
