# SPDX-License-Identifier: MIT
"""Whatever happens, in whatever order: the counter is the sum of its charges.

A state machine creates, replays, resizes, deletes, sets limits, and loses its connection at any
message of a batch; it keeps by itself what should come of that. Where a connection was lost it
looks whether the batch took effect: wholly, or not at all.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
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

from batchq import delete, gather, insert, run, sequence, sql, steps
from batchq.language.placement import Scheduled
from batchq.limits import LimitExceeded, LimitMissing, NotCharged
from batchq.result import Ok, attempt
from batchq.testing import Proxy, proxy
from tests.limits.helpers import LIMITS, PROJECT, SILO, Book

LEVELS = sorted([PROJECT, SILO], key=str)
UNLIMITED = 2**63 - 1
END_ME = sql("SELECT pg_terminate_backend(pg_backend_pid())")
LAST = Scheduled(END_ME, last_key=("~",))

ids = st.sampled_from([UUID(int=number) for number in range(3)])
sizes = st.integers(1, 5)
bounds = st.sampled_from([5, 2, 0, 8, None])
# The fault: often none; or the link breaks after so many messages of the client (or as
# many before the end of them, where the COMMIT is) or of the server's; or the server ends the
# session, before the charges or after them.
troubles = st.sampled_from([None, None, None, "cut_requests", "cut_answers", "end"]).flatmap(
    lambda kind: st.none() if kind is None else st.tuples(st.just(kind), PLACES[kind])
)
PLACES = {
    "cut_requests": st.integers(-8, 14),
    "cut_answers": st.integers(0, 40),
    "end": st.sampled_from([END_ME, LAST]),
}


class World(RuleBasedStateMachine):
    """Disks, each charged by its size in its project and in the silo around it."""

    conn: psycopg.Connection[Any]
    link: Proxy

    def __init__(self):
        super().__init__()
        self.book = Book(self.conn)
        self.conn.execute("TRUNCATE disk, resource_limit, resource_charge", prepare=False)
        self.client = self.connected()
        self.sizes = {}
        self.limits = {}
        self.highest = {}

    def connected(self):
        # Unprepared, every command is as many messages: the end of a flight is known.
        conninfo = self.link.conninfo()
        return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)

    def teardown(self):
        self.client.close()

    @initialize(lims=st.lists(st.sampled_from([None, 8, 5]), min_size=2, max_size=2))
    def begin(self, lims):
        for level, lim in zip(LEVELS, lims, strict=True):
            self.set_limit(level=level, lim=lim, trouble=None)

    @rule(level=st.sampled_from(LEVELS))
    @precondition(lambda self: not self.sizes and len(self.limits) == len(LEVELS))
    def take_away_a_limit(self, level):
        self.conn.execute("DELETE FROM resource_limit WHERE scope_id = %s", [level], prepare=False)
        del self.limits[level]

    # -- what is done ------------------------------------------------------------------------------

    @rule(wanted=st.dictionaries(ids, sizes, min_size=1), trouble=troubles)
    def create_or_replay(self, wanted, trouble):
        batch = sequence(
            gather(
                LIMITS.charge("gigabytes", size, scope=LEVELS, id=one),
                insert("disk", {"id": one}).on_conflict_do_nothing("id"),
            )
            for one, size in wanted.items()
        )
        more = sum(size for one, size in wanted.items() if one not in self.sizes)
        if self.do(batch, trouble, self.refused(more)):
            self.sizes = wanted | self.sizes

    @rule(id=ids, trouble=troubles)
    def remove(self, id, trouble):
        released = LIMITS.release("gigabytes", scope=reversed(LEVELS), id=id)
        if self.do(gather(released, delete("disk", {"id": id})), trouble, self.refused(0)):
            self.sizes.pop(id, None)

    @precondition(lambda self: self.sizes)
    @rule(id=ids, size=sizes, trouble=troubles)
    def resize(self, id, size, trouble):
        batch = LIMITS.resize("gigabytes", size, scope=LEVELS, id=id)
        refused = self.refused(size - self.sizes.get(id, size))
        if id not in self.sizes and LEVELS[0] in self.limits:
            refused = NotCharged
        if self.do(batch, trouble, refused):
            self.sizes[id] = size

    @precondition(lambda self: self.sizes or len(self.limits) < len(LEVELS))
    @rule(level=st.sampled_from(LEVELS), lim=bounds, trouble=troubles)
    def set_limit(self, level, lim, trouble):
        batch = LIMITS.set_limit("gigabytes", lim, scope=level)
        if self.do(batch, trouble, None):
            self.limits[level] = UNLIMITED if lim is None else lim
            self.highest[level] = max(self.limits[level], self.highest.get(level, 0))

    @rule(level=st.sampled_from(LEVELS))
    def recount(self, level):
        assert run(self.client, LIMITS.reconcile(level)) == []

    # -- what should come of it --------------------------------------------------------------------

    def refused(self, more):
        """Return the error of charging this amount, by the first level that has one, or None."""
        for level in LEVELS:
            if level not in self.limits:
                return LimitMissing
            if more > 0 and self.used + more > max(self.limits[level], self.used):
                return LimitExceeded
        return None

    @property
    def used(self):
        return sum(self.sizes.values())

    @invariant()
    def all_is_as_it_should_be(self):
        disks, counters, ledger = self.seen()
        lims = sorted(self.limits.items())
        used = self.used
        assert counters == [(one, "gigabytes", used, lim, max(used, lim)) for one, lim in lims]
        assert all(used <= self.highest[level] for level in self.limits)
        charges = [(level, "gigabytes", *one) for level in LEVELS for one in self.sizes.items()]
        assert ledger == sorted(charges)
        assert disks == sorted((one,) for one in self.sizes)
        assert self.book.wrong() == []

    # -- how it is done ----------------------------------------------------------------------------

    def do(self, batch, trouble, refused):
        """Run a batch.

        :param refused: the error that it has to end with; None when it has to succeed.
        :return: whether it took effect.
        """
        kind, where = trouble or (None, None)
        before = None if kind is None else self.seen()
        if kind == "end":
            batch = gather(batch, where)
        elif kind == "cut_requests":
            messages = len("PBDE") * (len(steps(batch)) + 2) + len("SS")  # BEGIN and COMMIT
            self.link.cut_requests(after=range(messages + 1)[where])
        elif kind == "cut_answers":
            # Once the server has done it all: what comes of a cut has to be the same every time.
            self.link.hold(syncs=2)
            self.link.cut_answers(after=where)
        answer = attempt(self.client, batch)
        if kind is not None:
            # The next batch is not to meet what is left of this one's trouble.
            self.client.close()
            self.client = self.connected()
        if isinstance(answer, Ok):
            assert refused is None
            return True
        if refused is not None and type(answer.error) is refused:
            return False
        assert kind is not None, answer.error
        return self.took_effect(answer, before, refused)

    def took_effect(self, answer, before, refused):
        """Look whether a batch whose connection was lost was committed."""
        changed = self.seen() != before
        assert not (changed and (refused or answer.outcome.nothing_applied))
        # One that changes nothing either way, a replay say, may as well have been.
        return changed

    def seen(self):
        """Everything that the tables hold."""
        return [
            self.conn.execute(f"TABLE {table} ORDER BY 1, {second}", prepare=True).fetchall()
            for table, second in (("disk", 1), ("resource_limit", 2), ("resource_charge", 3))
        ]


# Making a failure smaller takes longer than finding it.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("examples", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_counter_is_the_sum_of_its_charges_after_any_history(database, conn, book, examples):
    conn.execute("CREATE TABLE disk (id uuid PRIMARY KEY)")
    with proxy(database) as through:

        class Here(World):
            link = through

        Here.conn = book.conn
        run_state_machine_as_test(
            Here, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None)
        )
