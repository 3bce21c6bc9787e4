"""Pure mathematics: nothing here knows Lightning, Hydra or a dataset."""
