# SPDX-License-Identifier: MIT
"""Floor 1, the language: what users write. Pure values; no driver, no I/O, no SQL parser."""
