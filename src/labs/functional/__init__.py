"""Pure mathematics, independent of Lightning, Hydra and datasets."""
