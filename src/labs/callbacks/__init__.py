"""What may change during training, and what a run leaves behind."""
