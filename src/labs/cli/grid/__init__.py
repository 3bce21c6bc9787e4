"""Grids that finish: cells that are skipped, resumed or retried, one live line per cell, and a page at the end.

`launch.py` is the way through: compose the cells, choose those that still need a run, run them, sum up. `serial.py` and
`side_by_side.py` are two ways to run them, `board.py` shows how they go.
"""
