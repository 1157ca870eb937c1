# SPDX-License-Identifier: MIT
"""Run a function in a process of its own, with a pipe between.

Threads of one process wait for each other's Python. In a thread, a proxy would take the client's
interpreter, and a thread that holds a row's lock would keep it until it is its turn to run.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from typing import Any

# Not copies of this process, which has threads and connections of its own.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["benchmarks.peers.batchq", "benchmarks.workloads.projects"])


@contextmanager
def process(target: Callable[..., object], *args: object) -> Iterator[Pipe[Any, Any]]:
    """Start a process that calls the target with these arguments and the other end of the pipe.

    It is asked to end by closing the pipe: the target may leave the EOFError to this module.
    """
    near, far = _context.Pipe()
    running = _context.Process(target=_run, args=(target, args, far), daemon=True)
    running.start()
    far.close()  # or the end of the process would not be seen
    try:
        yield near
    finally:
        near.close()
        running.join()


def _run(target: Callable[..., object], args: tuple[object, ...], pipe: Pipe[Any, Any]) -> None:
    with suppress(EOFError, KeyboardInterrupt):
        target(*args, pipe)
