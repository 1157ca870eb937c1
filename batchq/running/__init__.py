# SPDX-License-Identifier: MIT
"""Floor 3, running: ``run``, ``arun``, ``attempt``, ``aattempt`` and retry, over the engine."""
