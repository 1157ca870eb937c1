# SPDX-License-Identifier: MIT
"""Ctrl-C at any line of what runs a batch: a note says what became of it, and says the truth."""

from __future__ import annotations

import linecache
import sys
from itertools import count
from pathlib import Path

import psycopg
import pytest

import batchq
from batchq import Retry, running, sql
from batchq.running import run as facade
from tests.support.clients import ITEMS, item

HOME = str(Path(running.__file__).parent)
# After the answer, between its return and the caller's own next line.
AFTER = {facade.run.__code__, facade.arun.__code__}
# The line of attempt() before it can note anything: nothing was sent.
BEFORE = 1
BATCHES = {
    "succeeds": batchq.gather(item(1), sql("SELECT 1").scalar(int)),
    "fails": batchq.gather(item(1), sql("SELECT 1/0").scalar(int)),
}
OPTIONS = {"plain": {}, "retry": {"retry": Retry(attempts=2, backoff=0)}}


class Interrupting:
    """Raises KeyboardInterrupt at the n-th line of ``batchq.running`` that is run."""

    def __init__(self, at):
        self.left, self.struck = at, False

    def __enter__(self):
        sys.settrace(self.enter)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def enter(self, frame, _event, _arg):
        code = frame.f_code
        own = code.co_filename.startswith(HOME) and code not in AFTER
        return self.line if own and not self.struck else None

    def line(self, frame, event, _arg):
        # No signal is handled where nothing is called.
        idle = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == "try:"
        if event == "line" and not self.struck and not idle:
            if self.left == 0:
                self.struck = True
                raise KeyboardInterrupt
            self.left -= 1
        return self.line


def check(interrupt, conn, at):
    """Check that the note has the true outcome, and empty the table."""
    kept = conn.execute("DELETE FROM item").rowcount
    if at < BEFORE:
        assert not kept
        return
    (note,) = interrupt.__notes__
    assert (note.rpartition(" ")[2] == "committed") == (kept > 0)


@pytest.fixture(autouse=True)
def items(conn):
    conn.execute(ITEMS)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_ctrl_c_at_any_line_has_a_true_note(connect, conn, batch, options):
    for at in count():
        mine = connect()
        try:
            with Interrupting(at) as interrupting:
                batchq.run(mine, batch, **options)
        except KeyboardInterrupt as interrupt:
            check(interrupt, conn, at)
        except batchq.BatchError:
            pass
        mine.close()
        if not interrupting.struck:
            break
        conn.execute("DELETE FROM item")
    assert at > 20


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
async def test_an_interrupt_of_async_code_at_any_line_has_a_true_note(database, conn, batch):
    for at in count():
        mine = await psycopg.AsyncConnection.connect(database, autocommit=True)
        try:
            with Interrupting(at) as interrupting:
                await batchq.arun(mine, batch)
        except KeyboardInterrupt as interrupt:
            check(interrupt, conn, at)
        except batchq.BatchError:
            pass
        finally:
            await mine.close()
        if not interrupting.struck:
            break
        conn.execute("DELETE FROM item")
    assert at > 20
