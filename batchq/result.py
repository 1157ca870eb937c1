# SPDX-License-Identifier: MIT
"""Run a batch and return its failure as a value instead of raising it.

>>> from batchq.result import Failed, Ok
>>> match Ok(7):
...     case Ok(value):
...         print(value)
...     case Failed(error, report):
...         print(error, report.outcome)
7
"""

from __future__ import annotations

from batchq.running.result import Failed, Ok
from batchq.running.run import aattempt, attempt

__all__ = ["Failed", "Ok", "aattempt", "attempt"]
