"""Deep-learning vision practicals on PyTorch Lightning and Hydra."""
