# SPDX-License-Identifier: MIT
"""Patterns built on the language alone, so that a user could have written them."""
