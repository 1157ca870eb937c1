# SPDX-License-Identifier: MIT
"""Run batches and return a failure as a value instead of raising it.

>>> from batchq.result import Failed, Ok
>>> match Ok(7):
...     case Ok(value):
...         print(value)
...     case Failed(error, report):
...         print(error, report.outcome)
7
"""

from __future__ import annotations

from batchq.engine.result import Failed, Ok
from batchq.running.many import arun_many, run_many
from batchq.running.run import aattempt, attempt

__all__ = ["Failed", "Ok", "aattempt", "arun_many", "attempt", "run_many"]
