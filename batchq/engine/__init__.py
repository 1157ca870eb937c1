# SPDX-License-Identifier: MIT
"""Floor 2, the engine: compile, encode, prepare, wire, attribute, report, decode.

``transaction`` is where they meet; everything but ``wire`` is free of I/O.
"""
