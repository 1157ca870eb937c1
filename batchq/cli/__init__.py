# SPDX-License-Identifier: MIT
"""Floor 5, the command line: ``batchq bulk preflight|start|resume|status|…``."""
