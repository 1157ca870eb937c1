# SPDX-License-Identifier: MIT
"""Outcome: from the answers to a result, or to the error that names the failed step."""
