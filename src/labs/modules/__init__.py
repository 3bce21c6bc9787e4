"""One file per method: what a training step computes."""
