# SPDX-License-Identifier: MIT
"""Floor 2, the engine: from a batch to one transaction, its answers and its outcome.

``plan``, ``program``, ``compile`` and ``wire.encode`` make what is sent, ``wire`` sends it, and
``outcome`` decides what it means. ``transaction`` joins them. Only ``wire.exchange`` does I/O.
"""
