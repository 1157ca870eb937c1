# SPDX-License-Identifier: MIT
"""One failure, injected anywhere into a batch of any form, is always reported where it is.

The broken statements have the very shapes of the healthy ones (the same SQL, often the same
prepared statement) and differ in a value alone, so only the slot can show which one it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from batchq import (
    Batch,
    BatchError,
    GuardFailed,
    Outcome,
    Statement,
    UnmappedViolation,
    arun,
    gather,
    insert,
    into,
    run,
    sequence,
    sql,
    steps,
    unique,
    update,
)

TABLES = """
CREATE TABLE item (id int8 CONSTRAINT item_pkey PRIMARY KEY,
                   size int8 CONSTRAINT item_size_check CHECK (size > 0));
CREATE TABLE counter (id int8 CONSTRAINT counter_pkey PRIMARY KEY, n int8 NOT NULL);
"""
SEED = """
TRUNCATE item, counter;
INSERT INTO item VALUES (0, 1);
INSERT INTO counter SELECT n, 0 FROM generate_series(0, 40) AS n;
"""
STATE = "SELECT (SELECT array_agg(id ORDER BY id) FROM item), (SELECT sum(n) FROM counter)"


# -- statements: each shape healthy, and broken by one value ---------------------------------------


def add(i: int, *, broken: bool) -> Statement[Any]:
    return insert("item", {"id": 0 if broken else i, "size": 1})


def add_sized(i: int, *, broken: bool) -> Statement[Any]:
    return insert("item", {"id": i, "size": -1 if broken else 1}).returning("id").scalar(int)


def count_up(i: int, *, broken: bool) -> Statement[Any]:
    return update("counter", {"n": sql("n + 1")}, {"id": 999 if broken else i}).expect(1)


def count_up_one(i: int, *, broken: bool) -> Statement[Any]:
    where = {"id": 999 if broken else i}
    return update("counter", {"n": sql("n + 1")}, where).returning("id").one(dict)


def divide(i: int, *, broken: bool) -> Statement[Any]:
    return sql("SELECT 1 / %(by)s::int8 AS q", by=0 if broken else i).all(tuple)


SHAPES = {
    add: (UnmappedViolation, "23505"),
    add_sized: (UnmappedViolation, "23514"),
    count_up: (GuardFailed, "22P02"),
    count_up_one: (GuardFailed, "22P02"),
    divide: (UnmappedViolation, "22012"),
}


# -- trees: any nesting of everything that composes ------------------------------------------------


@frozen
class Tree:
    """A batch, and what the test itself knows about its leaves: statement and labels, in order."""

    batch: Batch[Any]
    leaves: list[tuple[Statement[Any], tuple[str, ...]]]

    def around(self, batch: Batch[Any], *labels: str) -> Tree:
        """Return the same leaves, in a batch around this one."""
        if isinstance(batch, Statement):  # a mapping of a statement makes a new statement
            return Tree(batch, [(batch, (*labels, *self.leaves[0][1]))])
        return Tree(batch, [(statement, (*labels, *path)) for statement, path in self.leaves])


def wrapped(tree: Tree, random: Random) -> Tree:
    match random.randrange(6):
        case 0:
            return tree.around(tree.batch.label("l"), "l")
        case 1:
            return tree.around(tree.batch.map(lambda result: [result]))
        case 2:
            return tree.around(tree.batch.as_invariant("something of our own"))
        case 3:
            return tree.around(tree.batch.on(unique("another_key"), KeyError))
        case _:
            return tree


def joined(trees: list[Tree], random: Random) -> Tree:
    batches = [tree.batch for tree in trees]
    leaves = [tree.leaves for tree in trees]
    match random.randrange(3):
        case 0:
            batch: Batch[Any] = gather(*batches)
        case 1:
            batch = sequence(batches)
        case _:
            cut = random.randrange(len(trees))
            named = {f"n{i}": batches[i] for i in range(cut, len(trees))}
            batch = into(dict, *batches[:cut], **named)
            for i in range(cut, len(trees)):
                leaves[i] = [(statement, (f"n{i}", *path)) for statement, path in leaves[i]]
    return Tree(batch, [leaf for part in leaves for leaf in part])


def grown(statements: list[Statement[Any]], random: Random) -> Tree:
    """Join neighbours, at random, until one tree is left: every form and any depth comes up."""
    trees = [wrapped(Tree(statement, [(statement, ())]), random) for statement in statements]
    while len(trees) > 1 or random.randrange(3) == 0:
        start = random.randrange(len(trees))
        end = start + random.randint(1, 5)
        trees[start:end] = [wrapped(joined(trees[start:end], random), random)]
    return trees[0]


@frozen
class Injection:
    """A batch that fails in one place, and the same batch in health."""

    broken: Tree
    healthy: Tree
    index: int
    shape: Callable[..., Statement[Any]]


@st.composite
def injections(draw: st.DrawFn) -> Injection:
    size = draw(st.integers(1, 40))
    shapes = draw(st.lists(st.sampled_from(list(SHAPES)), min_size=size, max_size=size))
    index = draw(st.integers(0, size - 1))
    seed = draw(st.integers(0, 2**32))
    trees = [
        grown(
            [shape(i, broken=i == broken) for i, shape in enumerate(shapes, 1)],
            Random(seed),
        )
        for broken in (index + 1, None)
    ]
    return Injection(*trees, index, shapes[index])


# -- the property ----------------------------------------------------------------------------------


def check(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    observer: psycopg.Connection[Any],
    runs: Callable[[Batch[Any]], Any],
    injected: Injection,
) -> None:
    """Run the broken batch and then the healthy one, on the same connection."""
    observer.execute(SEED)
    before = observer.execute(STATE).fetchone()
    cls, sqlstate = SHAPES[injected.shape]
    statement, path = injected.broken.leaves[injected.index]

    with pytest.raises(BatchError) as caught:
        runs(injected.broken.batch)
    error = caught.value
    assert type(error) is cls
    assert error.statement is statement
    assert error.index == injected.index
    assert error.path == "/".join(path)
    assert error.violation.sqlstate == sqlstate
    assert error.outcome is Outcome.ROLLED_BACK
    assert connection.pgconn.transaction_status == TransactionStatus.IDLE
    assert observer.execute(STATE).fetchone() == before

    runs(injected.healthy.batch)
    kept = observer.execute(STATE).fetchone()
    shapes = [s for s, _ in injected.healthy.leaves]
    added = sum("INSERT" in steps(s)[0].sql for s in shapes)
    counted = sum("UPDATE" in steps(s)[0].sql for s in shapes)
    assert (len(kept[0]), kept[1]) == (1 + added, counted)


@pytest.fixture
def observer(connect):
    opened = connect()
    opened.execute(TABLES)
    return opened


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def aconn(database, loop):
    opened = loop.run(psycopg.AsyncConnection.connect(database, autocommit=True))
    yield opened
    loop.run(opened.close())


# One schema and one connection for all examples of a test: what the earlier ones have prepared on
# it, and what their failures made of that, is part of the property.
of_any_batch = given(injected=injections(), threshold=st.sampled_from([None, 0, 5]))
on_one_connection = settings(deadline=None, max_examples=120)


@on_one_connection
@of_any_batch
def test_one_failure_anywhere_is_reported_where_it_is(conn, observer, injected, threshold):
    conn.prepare_threshold = threshold
    check(conn, observer, partial(run, conn), injected)


@on_one_connection
@of_any_batch
def test_one_failure_anywhere_is_reported_where_it_is_async(
    aconn, loop, observer, injected, threshold
):
    aconn.prepare_threshold = threshold
    check(aconn, observer, lambda batch: loop.run(arun(aconn, batch)), injected)
