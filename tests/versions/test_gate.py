# SPDX-License-Identifier: MIT
"""A gate lets a batch run while its version may, and writes only what all running ones know."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen
from psycopg.types.json import Jsonb

from batchq import InvalidBatch, Outcome, gather, insert, param, run, select, sql, steps, update
from batchq.result import attempt
from batchq.versions import Fleet, NoFleet, NotYet, TooNew, TooOld
from tests.versions.helpers import SEVEN, SIX, Distribution, Label, expand

IMAGE = insert("image", {"id": param("id", int), "distribution": "debian"})


def failed(conn: Any, batch: Any, **options: Any) -> Exception:
    """Return the error of a batch of which nothing is left."""
    answer = attempt(conn, batch, **options)
    assert answer.report.outcome is Outcome.ROLLED_BACK
    assert conn.execute("SELECT count(*) FROM image", prepare=False).fetchone() == (0,)
    return answer.error


def test_gate_lets_a_version_in_the_window_run(planned) -> None:
    expand(planned, 7, oldest=6)

    for fleet in (SIX, SEVEN):
        batch = fleet.gate(insert("image", {"id": fleet.version}).returning("id").scalar(int))
        assert run(planned, batch) == fleet.version


@pytest.mark.parametrize(
    ("window", "fleet", "needs", "error"),
    [
        ((7, 7), SIX, 0, TooOld(6, 7)),
        ((6, 0), SEVEN, 0, TooNew(7, 6)),
        ((7, 0), SEVEN, 7, NotYet(7, 0, None)),
        ((7, 6), SEVEN, 7, NotYet(7, 6, None)),
    ],
    ids=str,
)
def test_gate_refuses_a_batch_whole(planned, window, fleet, needs, error) -> None:
    expand(planned, *window)

    raised = failed(planned, fleet.gate(insert("image", {"id": 1}), needs=needs))

    assert type(raised) is type(error)
    assert raised.args[:2] == error.args[:2]
    if isinstance(raised, NotYet):
        assert bool(raised.settled_at) is (window[1] > 0)


def test_gate_passes_exactly_at_both_ends_of_the_window(planned) -> None:
    expand(planned, 7, oldest=7)

    assert run(planned, SEVEN.gate(IMAGE.bind(id=1), needs=7)) is None


def test_gate_without_a_window_raises_no_fleet(planned) -> None:
    assert failed(planned, SIX.gate(insert("image", {"id": 1}))).args == ("nexus", None)
    expand(planned)
    assert isinstance(failed(planned, Fleet(name="other", version=6).gate(gather())), NoFleet)


def test_gate_is_one_step_before_all_others_and_once_in_a_batch() -> None:
    inner = gather(insert("image", {"id": 2}), SIX.gate(insert("image", {"id": 1})))
    batch = SIX.gate(gather(inner, sql("SET LOCAL work_mem = '64MB'").run_first()))

    assert [step.path for step in steps(batch)] == ["gate", "", "", ""]
    assert steps(batch)[1].sql == "SET LOCAL work_mem = '64MB'"


@pytest.mark.usefixtures("fleet_tables")
def test_gate_serves_read_only_and_nested_runs(conn) -> None:
    expand(conn)
    count = SIX.gate(select("image").count())

    assert run(conn, count, read_only=True) == 0
    with conn.transaction():
        assert run(conn, SIX.gate(IMAGE.bind(id=1)), nested=True) is None
        run(conn, SEVEN.retire(below=7), nested=True)
        with pytest.raises(TooOld):
            run(conn, SIX.gate(count), nested=True)


@pytest.mark.usefixtures("fleet_tables")
class TestVariants:
    """What a batch writes decides the oldest version that must be running."""

    @pytest.mark.parametrize(
        "value",
        [
            Distribution.FREEBSD,
            [Distribution.DEBIAN, Distribution.FREEBSD],
            Jsonb({"of": [Label.FREEBSD]}),
            sql("lower(%(of)s::text)", of=Distribution.FREEBSD),
        ],
        ids=["value", "list", "json", "fragment"],
    )
    def test_variant_that_a_running_version_does_not_know_is_not_yet(self, conn, value) -> None:
        expand(conn, 7, oldest=6)
        column = "tags" if isinstance(value, list) else "distribution"
        for writing in (
            insert("image", {"id": 1, column: value}),
            update("image", {column: value}, {"id": 1}),
            insert("image", {"id": 1, column: None}).on_conflict_do_update(
                "id", set={column: value}
            ),
        ):
            assert failed(conn, SEVEN.gate(writing)).args[:2] == (7, 6)

    def test_variant_in_a_condition_needs_nothing(self, conn) -> None:
        expand(conn, 7, oldest=6)
        where = {"distribution": Distribution.FREEBSD}
        read = select("image", ["id"], where=where).count()
        fragment = select("image", where=sql("distribution = %(d)s", d=Distribution.FREEBSD))

        assert run(conn, SEVEN.gate(read)) == 0
        assert run(conn, SEVEN.gate(fragment.count())) == 0
        text = sql("SELECT 1 WHERE %(d)s = 'x'", d=Distribution.FREEBSD)
        assert run(conn, SEVEN.gate(update("image", {"distribution": "x"}, where).count())) == 0
        assert run(conn, SEVEN.gate(text.count())) == 0

    def test_variant_is_written_once_older_versions_are_retired(self, conn) -> None:
        expand(conn, 7, oldest=7)

        run(conn, SEVEN.gate(insert("image", {"id": 1, "distribution": Distribution.FREEBSD})))

    def test_variant_of_a_bound_row_is_found(self, conn) -> None:
        @frozen
        class NewImage:
            id: int
            distribution: Distribution

        expand(conn, 7, oldest=6)
        image = gather(insert("image", NewImage))

        assert run(conn, SEVEN.gate(image.bind(NewImage(1, Distribution.DEBIAN)))) == (None,)
        assert run(conn, sql("DELETE FROM image").count()) == 1
        for batch in (
            image.bind(NewImage(1, Distribution.FREEBSD)),
            insert("image", NewImage).bind(NewImage(1, Distribution.FREEBSD)),
            insert("image", NewImage).each(
                [NewImage(1, Distribution.DEBIAN), NewImage(2, Distribution.FREEBSD)]
            ),
        ):
            assert isinstance(failed(conn, SEVEN.gate(batch)), NotYet)


def test_batch_that_is_not_bound_is_rejected() -> None:
    with pytest.raises(InvalidBatch, match="bind"):
        SEVEN.gate(gather(IMAGE))


def test_bound_batch_stays_bound_and_is_gated_once() -> None:
    declared = gather(IMAGE, IMAGE.partial(id=param("other", int)))

    first, second = (SEVEN.gate(declared.bind(id=n, other=n + 1)) for n in (1, 3))

    assert type(first) is type(declared.bind(id=1, other=2))
    assert first.declaration is second.declaration
    assert [step.parameters for step in steps(second)][1:] == [(3, "debian"), (4, "debian")]
