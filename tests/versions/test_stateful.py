# SPDX-License-Identifier: MIT
"""Whatever versions 6 and 7 write, in whatever order: 6 reads no Unknown until it is retired.

Processes of both write variants and documents through their gates, by all kinds of statements, at
any isolation level, some in transactions that stay open. Meanwhile they join, leave and are paused,
and the window is expanded and 6 retired. After each step 6 reads everything.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import psycopg
import pytest
from attrs import field, frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import IsolationLevel

from batchq import (
    SerializationConflict,
    gather,
    insert,
    insert_or_get,
    param,
    run,
    select,
    sql,
    update,
)
from batchq.result import Ok, attempt
from batchq.versions import Change, Document, Fleet, NotYet, Unknown, VersionError, fleet, tolerant
from tests.versions.helpers import LEVELS, MINUTE


class OldDistribution(StrEnum):
    """What an image is of, as 6 knows it."""

    DEBIAN = "debian"


class Distribution(StrEnum):
    """The same, as 7 knows it."""

    DEBIAN = "debian"
    FREEBSD = "freebsd"


def _spec(**more: Any) -> Document[Any]:
    return Document(name="spec", load=lambda json: json, dump=lambda spec: spec, **more)


OLD_SPEC = _spec()
SPEC = _spec(
    changes=[
        Change(
            up=lambda spec: {"mib": spec["gib"] * 1024},
            down=lambda spec: {"gib": spec["mib"] // 1024},
            since=7,
        )
    ]
)
SIX = Fleet(name="nexus", version=6)
SEVEN = Fleet(name="nexus", version=7, since={Distribution.FREEBSD: 7})


class Row(NamedTuple):
    id: int
    distribution: Any
    tags: Any
    spec: Any


@frozen
class Image:
    """A row as 6 reads it."""

    distribution: Any = field(converter=tolerant(OldDistribution))
    tags: Any = field(converter=tolerant(OldDistribution))
    spec: Any = field(converter=OLD_SPEC.read)


READ = select("image").all(Image)
DECLARED = insert("image", Row)
SPEC_BY_ID = update("image", {"spec": param("spec", object)}, {"id": param("id", int)})


def _values(row: Row) -> dict[str, Any]:
    return row._asdict()


def _by_output(row: Row) -> Any:
    given = sql("SELECT %(d)s::text AS d, %(s)s::jsonb AS s", d=row.distribution, s=row.spec)
    given = given.one(tuple)
    values = {"distribution": given.output("d"), "tags": row.tags, "spec": given.output("s")}
    return gather(given, insert("image", {"id": row.id, **values}))


def _by_select(row: Row) -> Any:
    columns = [
        sql("%(id)s AS id", id=row.id),
        sql("%(d)s::text AS distribution", d=row.distribution),
        sql("%(t)s::text[] AS tags", t=row.tags),
        sql("%(s)s::jsonb AS spec", s=row.spec),
    ]
    return insert("image", select("seed", columns))


# How a row is written that is new, or one that is there.
NEW = {
    "insert": lambda row: insert("image", _values(row)),
    "bound": DECLARED.bind,
    "each": lambda row: DECLARED.each([row]),
    "get": lambda row: insert_or_get("image", _values(row), Row, key=["id"]),
    "output": _by_output,
    "select": _by_select,
    "text": lambda row: sql(
        "INSERT INTO image VALUES (%(id)s, %(distribution)s, %(tags)s, %(spec)s)", **_values(row)
    ),
}
EXISTING = {
    "update": lambda row: update("image", _values(row), {"id": row.id}),
    "upsert": lambda row: insert("image", _values(row)).on_conflict_do_update(
        "id", set=["distribution", "tags", "spec"]
    ),
    "bound": lambda row: gather(SPEC_BY_ID).bind(id=row.id, spec=row.spec),
}

levels = st.sampled_from(LEVELS)
fleets = st.sampled_from([SIX, SEVEN])
members = st.sampled_from(["a", "b"])
# 7 may believe any floor: a process that has not joined for long, or a wrong constant.
contents = st.fixed_dictionaries(
    {
        "distribution": st.sampled_from(Distribution),
        "tags": st.lists(st.sampled_from(Distribution), max_size=2),
        "floor": st.sampled_from([6, 7]),
    }
)


class World(RuleBasedStateMachine):
    """Two versions of a service on one table."""

    conn: ClassVar[psycopg.Connection[Any]]
    other: ClassVar[psycopg.Connection[Any]]
    answers: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.conn.execute("TRUNCATE version_window, version_member, image")
        self.ids = 0
        self.is_open = False
        self.is_retired = False

    def teardown(self) -> None:
        self.other.rollback()

    @initialize(expanded=st.sampled_from([6, 7]), oldest=st.sampled_from([0, 6]))
    def begin(self, expanded: int, oldest: int) -> None:
        run(self.conn, SEVEN.expand(expanded))
        if oldest:
            run(self.conn, SEVEN.retire(below=oldest))

    # -- what processes do -------------------------------------------------------------------------

    @rule(by=fleets, how=st.sampled_from(sorted(NEW)), what=contents, isolation=levels)
    def add(self, by: Fleet, how: str, what: Any, isolation: IsolationLevel) -> None:
        self.ids += 1
        self.do(by.gate(NEW[how](self.row(by, self.ids, **what))), isolation=isolation)

    @precondition(lambda self: self.ids and not self.is_open)
    @rule(by=fleets, how=st.sampled_from(sorted(EXISTING)), what=contents, isolation=levels)
    def change(self, by: Fleet, how: str, what: Any, isolation: IsolationLevel) -> None:
        self.do(by.gate(EXISTING[how](self.row(by, self.ids, **what))), isolation=isolation)

    @precondition(lambda self: not self.is_open)
    @rule(by=fleets, what=contents, isolation=levels)
    def add_slowly(self, by: Fleet, what: Any, isolation: IsolationLevel) -> None:
        """Pass the gate, and do not commit yet."""
        self.ids += 1
        self.other.isolation_level = isolation
        self.other.execute("SELECT 1")  # begins it, and takes its snapshot
        batch = by.gate(DECLARED.bind(self.row(by, self.ids, **what)))
        self.is_open = self.do(batch, self.other, nested=True)
        if not self.is_open:
            self.other.rollback()

    @precondition(lambda self: self.is_open)
    @rule(commits=st.booleans())
    def end(self, commits: bool) -> None:
        self.other.commit() if commits else self.other.rollback()
        self.is_open = False

    @rule(by=fleets, member=members, isolation=levels)
    def join(self, by: Fleet, member: str, isolation: IsolationLevel) -> None:
        self.do(by.join(member, lease=MINUTE), isolation=isolation)

    @rule(member=members)
    def leave(self, member: str) -> None:
        self.do(SIX.leave(member))

    @rule(member=members)
    def pause(self, member: str) -> None:
        """Let a lease end, whose process continues later."""
        past = {"until": sql("now() - interval '1 h'")}
        run(self.conn, update("version_member", past, {"member": member}))

    @rule(version=st.sampled_from([6, 7]))
    def expand(self, version: int) -> None:
        self.do(SEVEN.expand(version))

    @rule(below=st.sampled_from([6, 6, 7]), isolation=levels)
    def retire(self, below: int, isolation: IsolationLevel) -> None:
        if self.do(SEVEN.retire(below=below), isolation=isolation) and below == 7:
            self.is_retired = True

    # -- what must be so ---------------------------------------------------------------------------

    @invariant()
    def six_reads_everything(self) -> None:
        self.answers["steps"] += 1
        if not self.is_retired:
            for image in run(self.conn, READ):
                assert not any(isinstance(one, Unknown) for one in image.tags or ())
                assert not isinstance(image.distribution, Unknown)
                assert not isinstance(image.spec, Unknown)

    # -- how it is done ----------------------------------------------------------------------------

    def row(self, by: Fleet, id: int, distribution: Any, tags: Any, floor: int) -> Row:
        if by is SIX:
            debian = OldDistribution.DEBIAN
            return Row(id, debian, [debian for _ in tags], OLD_SPEC.write({"gib": 1}, floor=floor))
        return Row(id, distribution, tags, SPEC.write({"mib": 1024}, floor=floor))

    def do(self, batch: Any, conn: Any = None, **options: Any) -> bool:
        """Run a batch; return whether it was not refused."""
        answer = attempt(conn or self.conn, batch, **options)
        if isinstance(answer, Ok):
            self.answers["Ok"] += 1
            return True
        self.answers[type(answer.error).__name__] += 1
        if not isinstance(answer.error, VersionError | SerializationConflict):
            raise answer.error
        return False


@pytest.fixture
def world(fleet_tables, conn, connect):
    conn.execute("CREATE TABLE seed AS SELECT 1 AS id")
    here = {"conn": conn, "other": connect(autocommit=False), "answers": Counter()}
    return type("Here", (World,), here)


def play(world: type[World], examples: int) -> None:
    chosen = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(world, settings=chosen)


@pytest.mark.parametrize("examples", [8, pytest.param(800, marks=pytest.mark.soak)])
def test_six_reads_no_unknown_until_it_is_retired(world, examples, record_property) -> None:
    play(world, examples)

    for kind, number in world.answers.items():
        record_property(kind, number)


def test_gate_that_does_not_look_at_the_oldest_version_breaks_it(world, monkeypatch) -> None:
    whole = fleet.gate_step
    monkeypatch.setattr(fleet, "gate_step", lambda tables, version, _: whole(tables, version, 0))

    state = world()
    state.begin(expanded=7, oldest=6)
    new = {"distribution": Distribution.FREEBSD, "tags": [], "floor": 6}
    state.add(by=SEVEN, how="insert", what=new, isolation=LEVELS[0])
    state.teardown()

    assert world.answers[NotYet.__name__] == 0
    with pytest.raises(AssertionError):
        state.six_reads_everything()


def test_gate_lets_nothing_new_in_by_the_same_steps(world) -> None:
    state = world()
    state.begin(expanded=7, oldest=6)
    new = {"distribution": Distribution.FREEBSD, "tags": [], "floor": 6}
    state.add(by=SEVEN, how="insert", what=new, isolation=LEVELS[0])

    assert world.answers[NotYet.__name__] == 1
    state.six_reads_everything()
