# SPDX-License-Identifier: MIT
"""The peers do the same work: what they leave behind, and what they say of a failure."""

from __future__ import annotations

import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.company import company
from benchmarks.peers import TOLD, creates_projects, fails_to_create
from benchmarks.peers.all import PEERS


def test_every_peer_creates_the_same_projects(postgres):
    with company(postgres.conninfo(), creates_projects) as all_of_them:
        before = all_of_them.digests()
        for peer in all_of_them.peers.values():
            peer.project_create(range(4))
        after = all_of_them.digests()
        assert all_of_them.unlike() == []
    # One was there, and four have come: each with a VPC of two rules.
    assert {name: digest["project"][0] for name, digest in after.items()} == dict.fromkeys(PEERS, 5)
    assert {digest["vpc_firewall_rule"][0] for digest in after.values()} == {10}
    assert not any(before[name] == after[name] for name in PEERS)


def test_every_peer_fails_where_it_should_says_so_and_leaves_nothing_behind(postgres):
    with company(postgres.conninfo(), fails_to_create) as all_of_them:
        before = all_of_them.digests()
        for name, peer in all_of_them.peers.items():
            for at, told in TOLD.items():
                peer.told.clear()
                peer.fail(range(2), at)
                assert (name, at, peer.told) == (name, at, {told})
        assert all_of_them.digests() == before
        for peer in all_of_them.peers.values():  # and can go on
            peer.project_create(range(1))
        assert all_of_them.unlike() == []
