# SPDX-License-Identifier: MIT
"""Floor 5, the command line: ``batchq bulk …`` and ``batchq versions …``."""
