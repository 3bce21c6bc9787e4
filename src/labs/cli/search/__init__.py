"""A search over settings: trials that are cells of a grid, proposed by Optuna, kept in a journal on disk.

`launch.py` is the way through: propose settings, run them as cells, note how they ended; then run the best settings
again on fresh seeds. `study.py` keeps what was tried.
"""
