# SPDX-License-Identifier: MIT
"""Limits: counters that never go over, and a ledger of who was charged what.

Why: "at most 50 VPCs in a project" cannot be counted first and then inserted; two requests count 49
each. A counter with a CHECK can be trusted, and is one row that every request of its scope writes.
So charges run at the end of their batch, in one order for all batches; a replayed request is
charged once; what is given back is what was taken; and a limit may be lowered below what is used.

A counter column and a CHECK of your own need none of this: one :func:`~batchq.update`, with
``.on(check(…))`` and ``.expect(1)``. See "A limit of your own" in ``docs/guards.md``.

>>> from uuid import UUID
>>> from batchq import gather, insert, steps
>>> from batchq.limits import Limits
>>> limits = Limits()
>>> project, vpc = UUID(int=7), UUID(int=8)
>>> batch = gather(
...     limits.charge("vpcs", scope=project, id=vpc),
...     insert("vpc", {"id": vpc, "project_id": project}).label("vpc"),
... )
>>> [step.path for step in steps(batch)]
['vpc', 'lock vpcs', 'charge vpcs']

``limits.create(conn)`` makes the two tables, and ``run(conn, limits.set_limit("vpcs", 50,
scope=project))`` a counter. From then on ``run(conn, batch)`` charges it, or raises
:class:`LimitExceeded`; afterwards ``run(conn, limits.shortfalls(batch))`` lists all that is short.

Works by what CockroachDB documents too; it was not run there.
"""

from __future__ import annotations

from batchq.limits.drift import Drift
from batchq.limits.errors import LimitExceeded, LimitMissing, NotCharged
from batchq.limits.limits import Limits
from batchq.limits.shortfalls import Shortfall

__all__ = ["Drift", "LimitExceeded", "LimitMissing", "Limits", "NotCharged", "Shortfall"]
