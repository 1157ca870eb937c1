# SPDX-License-Identifier: MIT
"""Seeing: what watchers are told, and three of them."""
