"""Plain nn.Module architectures, and where their weights come from."""
