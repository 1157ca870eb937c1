# SPDX-License-Identifier: MIT
"""Turn the answers of the server into a result, or into the error that names the failed step."""
