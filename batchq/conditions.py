# SPDX-License-Identifier: MIT
"""Compare a column in ``where=`` and in guards by another operator than ``=``.

>>> from batchq import update
>>> from batchq.conditions import lt, ne
>>> update("job", {"state": "queued"}, {"id": 7}).refuse({"attempts": lt(5), "owner": ne("me")})
<Statement update job: exactly 1 row, refuse("attempts" < …, "owner" <> …)>
"""

from __future__ import annotations

from batchq.language.conditions import between, ge, gt, le, like, lt, ne, not_in

__all__ = ["between", "ge", "gt", "le", "like", "lt", "ne", "not_in"]
