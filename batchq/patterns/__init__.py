# SPDX-License-Identifier: MIT
"""Patterns, built on the language alone: what a user could have written."""
