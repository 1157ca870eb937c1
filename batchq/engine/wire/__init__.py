# SPDX-License-Identifier: MIT
"""Wire: encode the values, lay out the flight, send it and collect the answers."""
