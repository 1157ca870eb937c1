# SPDX-License-Identifier: MIT
"""Memory does not grow with the number of chunks. The million rows are in the benchmarks."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

import batchq
from batchq.bulk import ChunkSize

FIVE = ChunkSize(minimum=5, initial=5, maximum=5)
"""200 chunks, and one that finds nothing."""
PLACES = (50, 100, 150, 200)
"""Chunks after which it is looked; before the first of them, what is cached gets cached."""


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def batchqs() -> int:
    """Bytes that batchq's own lines hold."""
    gc.collect()
    taken = tracemalloc.take_snapshot()
    folder = str(batchq.__file__).removesuffix("__init__.py")
    own = taken.filter_traces([tracemalloc.Filter(True, f"{folder}*")])
    return sum(found.size for found in own.statistics("filename"))


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("count", [batchqs, objects])
def test_memory_does_not_grow_with_the_number_of_chunks(
    estate: Any, at: Callable[..., Callable[[], None]], count: Callable[[], int]
) -> None:
    estate.fence()
    counted: list[int] = []

    def look() -> None:
        counted.append(count())

    report = estate.resume(chunk_size=FIVE, throttles=[at(place, look) for place in PLACES])
    assert report.chunks == PLACES[-1] + 1
    grown = [later - earlier for earlier, later in pairwise(counted)]
    # A single object more for each chunk would be 50 each time, and a place in a list 8 bytes. What
    # is allocated once, by other parts of this process, is not growth.
    assert min(grown) < 50 * (8 if count is batchqs else 1), grown
