# SPDX-License-Identifier: MIT
"""The wait for a flight, wrapped: so a test knows when it waits, and can make it end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from batchq.running import waiting

Flight = Generator[Any, Any, Any]


@contextmanager
def wrapped_wait(wrap: Callable[[Flight], Any], *, skip: int = 0) -> Iterator[None]:
    """Wrap the generator of the next wait for a flight, and of no later one.

    :param skip: how many flights are let pass before.
    """
    wraps: list[Callable[[Flight], Any]] = [wrap, *[_as_it_is] * skip]

    def wrapping(driven: Callable[..., Any]) -> Callable[..., Any]:
        def wait(gen: Flight, *how: Any) -> Any:
            return driven(wraps.pop()(gen) if wraps else gen, *how)

        return wait

    with (
        patch.object(waiting, "wait", wrapping(waiting.wait)),
        patch.object(waiting, "wait_async", wrapping(waiting.wait_async)),
    ):
        yield


def _as_it_is(gen: Flight) -> Flight:
    return gen


def notifying(gen: Flight, tell: Callable[[], object]) -> Flight:
    """Call ``tell`` whenever the generator is about to wait."""
    ready = None
    while True:
        try:
            state = gen.send(ready)
        except StopIteration as stop:
            return stop.value
        tell()
        ready = yield state
