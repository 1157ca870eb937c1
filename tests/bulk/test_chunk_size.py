# SPDX-License-Identifier: MIT
"""The chunk sizer: each rule by itself, then its promises on a simulated server."""

from __future__ import annotations

from random import Random
from statistics import median, quantiles

import pytest
from attrs import evolve, field, frozen, mutable
from attrs.exceptions import FrozenInstanceError
from hypothesis import example, given
from hypothesis import strategies as st

from batchq.bulk.worker.chunk_size import ChunkSize, ChunkSizer

SIZE = ChunkSize(target=0.1, initial=1_000, minimum=10, maximum=10_000)  # steered to 0.06 seconds
START = SIZE.sizer()

# -- what may be asked for -------------------------------------------------------------------------


def test_sizer_starts_with_the_initial_size():
    assert SIZE.sizer() == ChunkSizer(size=SIZE, rows=1_000, steady=0)


@pytest.mark.parametrize(
    "size",
    [
        {},
        {"target": 1e-6},
        {"minimum": 1, "initial": 1, "maximum": 1},
        {"minimum": 200},
        {"maximum": 200},
    ],
)
def test_ascending_bounds_are_accepted(size):
    assert ChunkSize(**size).sizer().rows == ChunkSize(**size).initial


@pytest.mark.parametrize(
    ("size", "lesson"),
    [
        ({"target": 0}, "it must be more than 0 seconds"),
        ({"target": -0.1}, "it must be more than 0 seconds"),
        ({"target": float("nan")}, "it must be more than 0 seconds"),
        ({"target": float("inf")}, "it must be more than 0 seconds"),
        ({"minimum": 0}, "a chunk of no rows never ends"),
        ({"minimum": -1, "initial": -1, "maximum": -1}, "a chunk of no rows never ends"),
        ({"initial": 9}, "must be minimum <= initial <= maximum"),
        ({"initial": 10_001}, "must be minimum <= initial <= maximum"),
        ({"maximum": 199}, "must be minimum <= initial <= maximum"),
        ({"minimum": 20, "initial": 20, "maximum": 19}, "must be minimum <= initial <= maximum"),
    ],
)
def test_other_bounds_are_rejected_with_what_to_write(size, lesson):
    with pytest.raises(ValueError, match=lesson) as rejected:
        ChunkSize(**size)
    name, value = next(iter(size.items()))
    assert f"{name}={value!r}" in str(rejected.value)


def test_sizer_is_immutable():
    START.after(0.001, full=True)
    START.after_timeout()
    assert START.rows == 1_000
    with pytest.raises(FrozenInstanceError):
        START.rows = 1


# -- after a chunk that was committed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed", "rows"),
    [
        pytest.param(0.0, 2_000, id="a clock too coarse to see it"),
        pytest.param(0.001, 2_000, id="doubles at most"),
        pytest.param(0.021, 1_929, id="not quite three times too quick"),
        pytest.param(0.03, 1_500, id="twice too quick: half of the way"),
        pytest.param(0.04, 1_250, id="half as quick again"),
        pytest.param(0.054, 1_056, id="just outside of what is close enough"),
        pytest.param(0.055, 1_000, id="close enough, quick"),
        pytest.param(0.06, 1_000, id="the goal"),
        pytest.param(0.066, 1_000, id="close enough, slow"),
        pytest.param(0.067, 896, id="just outside of what is close enough, slow"),
        pytest.param(0.08, 750, id="slow: all of the way"),
        pytest.param(0.1, 600, id="the target itself is slow"),
        pytest.param(0.12, 500, id="twice too slow"),
        pytest.param(60.0, 500, id="halves at most"),
        pytest.param(float("inf"), 500, id="infinitely slow"),
    ],
)
def test_full_chunk_moves_the_size_towards_the_goal(elapsed, rows):
    assert START.after(elapsed, full=True).rows == rows


@pytest.mark.parametrize(
    ("elapsed", "rows"), [(0.0, 1_000), (0.03, 1_000), (0.06, 1_000), (0.08, 750), (60.0, 500)]
)
def test_chunk_that_is_not_full_does_not_grow_the_size(elapsed, rows):
    assert START.after(elapsed, full=False).rows == rows


def test_time_is_compared_with_the_target():
    slower = ChunkSize(target=1.0, initial=1_000).sizer()
    assert slower.after(0.3, full=True).rows == 1_500
    assert slower.after(0.6, full=True).rows == 1_000
    assert slower.after(0.8, full=True).rows == 750


def test_size_grows_from_one_row():
    pace = ChunkSize(minimum=1, initial=1).sizer()
    sizes = []
    for _ in range(4):
        pace = pace.after(0.001, full=True)
        sizes.append(pace.rows)
    assert sizes == [2, 4, 8, 16]


# -- after a chunk that was not --------------------------------------------------------------------


def test_timeout_quarters_the_size_and_a_conflict_halves_it():
    assert START.after_timeout() == evolve(START, rows=250, steady=5)
    assert START.after_conflict() == evolve(START, rows=500, steady=5)


@pytest.mark.parametrize("failed", [ChunkSizer.after_timeout, ChunkSizer.after_conflict])
@pytest.mark.parametrize("full", [True, False])
def test_five_chunks_after_a_failure_do_not_grow(failed, full):
    pace = failed(START)
    kept = pace.rows
    for left in (4, 3, 2, 1, 0):
        pace = pace.after(0.001, full=full)
        assert (pace.rows, pace.steady) == (kept, left)
    assert pace.after(0.001, full=True) == evolve(pace, rows=2 * kept)


@pytest.mark.parametrize("failed", [ChunkSizer.after_timeout, ChunkSizer.after_conflict])
def test_further_failure_starts_the_five_chunks_again(failed):
    pace = START.after_conflict().after(0.06, full=True)
    assert pace.steady == 4
    assert failed(pace).steady == 5


def test_slow_chunks_after_a_failure_still_shrink_the_size():
    assert START.after_conflict().after(0.12, full=True) == evolve(START, rows=250, steady=4)


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shrink",
    [ChunkSizer.after_timeout, ChunkSizer.after_conflict, lambda pace: pace.after(9.0, full=True)],
)
def test_size_is_never_less_than_the_minimum(shrink):
    assert shrink(evolve(START, rows=11)).rows == 10
    assert shrink(evolve(START, rows=10)).rows == 10


def test_size_is_never_more_than_the_maximum():
    assert evolve(START, rows=9_999).after(0.001, full=True).rows == 10_000
    assert evolve(START, rows=10_000).after(0.001, full=True).rows == 10_000


ELAPSED = st.floats(min_value=0, allow_nan=False) | st.floats(0.001, 1)
COMMITTED = st.tuples(ELAPSED, st.booleans()).map(
    lambda chunk: lambda pace: pace.after(chunk[0], full=chunk[1])
)
EVENTS = st.lists(
    COMMITTED | st.sampled_from([ChunkSizer.after_timeout, ChunkSizer.after_conflict])
)
SIZES = st.builds(
    lambda rising, target: ChunkSize(
        target=target, minimum=rising[0], initial=rising[1], maximum=rising[2]
    ),
    st.tuples(*[st.integers(1, 100_000)] * 3).map(sorted),
    st.floats(1e-6, 3600),
)


@given(SIZES, EVENTS)
@example(ChunkSize(minimum=3), [ChunkSizer.after_timeout] * 9)
@example(ChunkSize(maximum=333), [lambda pace: pace.after(0.0, full=True)] * 9)
def test_size_stays_between_its_bounds_after_any_events(size, events):
    pace = size.sizer()
    for event in events:
        pace = event(pace)
        assert isinstance(pace.rows, int)
        assert size.minimum <= pace.rows <= size.maximum
        assert 0 <= pace.steady <= 5


# -- promises, against a server that is simulated --------------------------------------------------

SEEDS = range(100)


@frozen
class Cost:
    """What a chunk costs, in seconds: so much, and so much for each row."""

    chunk: float
    row: float

    def of(self, rows):
        return self.chunk + self.row * rows

    @property
    def target_rows(self):
        """The size at which a chunk takes the default target."""
        return (ChunkSize().target - self.chunk) / self.row


QUICK = Cost(0.005, 0.000_01)  # 9,500 rows in the target
USUAL = Cost(0.005, 0.000_05)  # 1,900
HEAVY = Cost(0.001, 0.000_1)  # 990, with many indexes
NEARLY_STUCK = Cost(0.001, 0.000_5)  # 198

every_cost = pytest.mark.parametrize("cost", [QUICK, USUAL, HEAVY, NEARLY_STUCK], ids=str)


@mutable
class Server:
    """Takes chunks, with 25 % of log-normal noise, and one chunk in fifty five times as slow."""

    cost: Cost
    seed: int
    noisy: bool = True
    slowdown: float = 1
    random: Random = field(init=False)

    def __attrs_post_init__(self):
        self.random = Random(self.seed)

    def takes(self, rows):
        elapsed = self.cost.of(rows) * self.slowdown
        if self.noisy:
            elapsed *= self.random.lognormvariate(0, 0.25)
            elapsed *= 5 if self.random.random() < 0.02 else 1
        return elapsed


def chunks(server, pace, number):
    """Yield the pace and the seconds of each chunk; all chunks are full."""
    for _ in range(number):
        elapsed = server.takes(pace.rows)
        yield pace, elapsed
        pace = pace.after(elapsed, full=True)


def settled(cost, seed, number):
    """Chunks from when the size has been learnt."""
    return list(chunks(Server(cost, seed), ChunkSize().sizer(), 30 + number))[30:]


@every_cost
def test_half_of_the_right_size_is_reached_within_ten_chunks(cost):
    def reached(server):
        learning = chunks(server, ChunkSize(initial=200).sizer(), 10)
        return any(pace.rows >= cost.target_rows / 2 for pace, _ in learning)

    assert reached(Server(cost, seed=0, noisy=False))
    # A slow chunk among the ten, one run in six has one, may cost more than there is time for.
    assert sum(reached(Server(cost, seed)) for seed in SEEDS) >= 90


@every_cost
def test_nineteen_of_twenty_chunks_meet_the_target_and_none_is_needlessly_small(cost):
    elapsed = [took for seed in SEEDS for _, took in settled(cost, seed, 370)]
    assert quantiles(elapsed, n=20)[-1] <= ChunkSize().target
    assert median(elapsed) >= 0.5 * ChunkSize().target


@every_cost
def test_tenfold_slowdown_is_compensated_within_six_chunks(cost):
    for seed in SEEDS:
        [*_, (pace, _)] = settled(cost, seed, 70)
        slow = Server(cost, seed, slowdown=10)
        assert any(took < 1.5 * ChunkSize().target for _, took in chunks(slow, pace, 6))


def test_out_of_bounds_server_gets_the_minimum_or_the_maximum():
    size = ChunkSize(initial=200, minimum=150, maximum=300)
    for seed in SEEDS:
        slow = [pace.rows for pace, _ in chunks(Server(NEARLY_STUCK, seed), size.sizer(), 100)]
        quick = [pace.rows for pace, _ in chunks(Server(QUICK, seed), size.sizer(), 100)]
        assert (min(slow), max(quick)) == (150, 300)


def test_steady_server_gets_chunks_of_one_size():
    steady = Server(USUAL, seed=0, noisy=False)
    sizes = [pace.rows for pace, _ in chunks(steady, ChunkSize().sizer(), 40)]
    assert len(set(sizes[10:])) == 1
