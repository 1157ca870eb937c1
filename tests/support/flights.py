# SPDX-License-Identifier: MIT
"""Wrap the wait for a flight, so that a test knows when it waits, and can end it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from batchq.running import waiting

Flight = Generator[Any, Any, Any]


@contextmanager
def wrapped_wait(wrap: Callable[[Flight], Any], *, skip: int = 0) -> Iterator[None]:
    """Wrap the generator of one wait for a flight.

    :param skip: number of flights before that one.
    """
    wraps: list[Callable[[Flight], Any]] = [wrap, *[_unchanged] * skip]

    def wrapping(driven: Callable[..., Any]) -> Callable[..., Any]:
        def wait(gen: Flight, *how: Any) -> Any:
            return driven(wraps.pop()(gen) if wraps else gen, *how)

        return wait

    with (
        patch.object(waiting, "wait", wrapping(waiting.wait)),
        patch.object(waiting, "wait_async", wrapping(waiting.wait_async)),
    ):
        yield


def _unchanged(gen: Flight) -> Flight:
    return gen


def notifying(gen: Flight, notify: Callable[[], object]) -> Flight:
    """Call ``notify`` whenever the generator is about to wait."""
    ready = None
    while True:
        try:
            state = gen.send(ready)
        except StopIteration as stop:
            return stop.value
        notify()
        ready = yield state
