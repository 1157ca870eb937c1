# SPDX-License-Identifier: MIT
"""Every call that takes a connection or a pool rejects anything else by the same rule."""

from __future__ import annotations

import pytest

from batchq.running.target import check_target
from tests.support.argument_types import SilentAsyncPool, SilentPool


def rejected(target, call, **options):
    with pytest.raises(TypeError) as caught:
        check_target(call, target, **options)
    return str(caught.value)


def test_a_pool_of_the_right_kind_is_accepted():
    check_target("run()", SilentPool(), sync=True)
    check_target("arun()", SilentAsyncPool(), sync=False)


def test_a_pool_of_the_other_kind_names_the_other_call():
    text = rejected(SilentAsyncPool(), "run()", sync=True)
    assert text == (
        "run() takes a psycopg Connection or a pool, not a SilentAsyncPool; use await arun()"
    )
    text = rejected(SilentPool(), "aresume()", sync=False)
    assert text == (
        "aresume() takes a psycopg AsyncConnection or a pool, not a SilentPool; use resume()"
    )


def test_a_call_without_the_other_kind_names_none():
    text = rejected(SilentAsyncPool(), "query_throttle()", sync=True, has_other=False)
    assert text.endswith("or a pool, not a SilentAsyncPool")


@pytest.mark.parametrize("missing", ["connection", "getconn", "putconn"])
def test_half_a_pool_is_none(missing):
    half = SilentPool()
    setattr(half, missing, None)
    assert rejected(half, "run()", sync=True).endswith("or a pool, not a SilentPool")
