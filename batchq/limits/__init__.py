# SPDX-License-Identifier: MIT
"""Enforce limits with counters, and a ledger of what each resource was charged.

Why: for "at most 50 VPCs in a project", counting before the insert is not enough, since two
requests may both count 49. A counter with a CHECK is safe, but it is one row that every request of
its scope updates. So charges run at the end of their batch, and in the same order in all batches. A
repeated request is charged once. A release returns the amount that was charged. A limit may be set
below the current use.

If you have a counter column and a CHECK of your own, one :func:`~batchq.update` with
``.on(check(…))`` and ``.expect(1)`` is enough. See "A limit of your own" in ``docs/guards.md``.

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

``limits.create(conn)`` creates the two tables, and ``run(conn, limits.set_limit("vpcs", 50,
scope=project))`` a counter. Then ``run(conn, batch)`` charges it, or raises :class:`LimitExceeded`.
After that ``run(conn, limits.shortfalls(batch))`` returns every limit that the batch would exceed.

The SQL follows CockroachDB's documentation as well, but it has not been run there.
"""

from __future__ import annotations

from batchq.limits.drift import Drift
from batchq.limits.errors import LimitExceeded, LimitMissing, NotCharged
from batchq.limits.limits import Limits
from batchq.limits.shortfalls import Shortfall

__all__ = ["Drift", "LimitExceeded", "LimitMissing", "Limits", "NotCharged", "Shortfall"]
