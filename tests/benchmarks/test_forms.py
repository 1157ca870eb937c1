# SPDX-License-Identifier: MIT
"""The forms of a batch are compared in cases that exist, with peers that the cases have."""

from __future__ import annotations

import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.cases import CASES
from benchmarks.forms import TITLES, pairs


@pytest.mark.parametrize("title", TITLES)
def test_compared_peers_are_those_of_a_case(title):
    (case,) = (case for case in CASES if case.title == title)
    compared = {*pairs(case)}
    assert compared
    assert {name for pair in compared for name in pair} <= {peer.name for peer in case.peers}
