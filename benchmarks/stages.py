# SPDX-License-Identifier: MIT
"""Where batchq's time goes, by its own stages, and the rival's by the same names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import isgeneratorfunction
from time import perf_counter
from typing import Any
from unittest.mock import patch

# Where each stage is called from, once a batch. attribute() is called twice: also before sending.
_STAGES = {
    "plan": "batchq.running.order.plan",
    "encode": "batchq.engine.transaction.encode",
    "load": "batchq.engine.transaction.load",
    "wire": "batchq.engine.transaction.exchange",
    "attribute": "batchq.engine.transaction.attribute",
    "decode": "batchq.engine.transaction.decode",
}

Times = defaultdict[str, float]


@contextmanager
def timed_stages() -> Iterator[Times]:
    """Add up the seconds that batchq spends in each stage while the block runs."""
    times: Times = defaultdict(float)
    with ExitStack() as patches:
        for stage, name in _STAGES.items():
            module, function = name.rsplit(".", 1)
            original = getattr(__import__(module, fromlist=[function]), function)
            patches.enter_context(patch(name, _timed(stage, original, times)))
        yield times


def _timed(stage: str, function: Callable[..., Any], times: Times) -> Callable[..., Any]:
    if isgeneratorfunction(function):

        def waited(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            result = yield from function(*args, **kwargs)
            times[stage] += perf_counter() - start
            return result

        return waited

    def called(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        result = function(*args, **kwargs)
        times[stage] += perf_counter() - start
        return result

    return called
