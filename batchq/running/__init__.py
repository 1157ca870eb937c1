# SPDX-License-Identifier: MIT
"""Run a batch on a connection or a pool: ``run``, ``arun``, ``attempt``, ``aattempt``, retries."""
