"""Trials of a hyperparameter search: the search space, and the journal that records them."""
