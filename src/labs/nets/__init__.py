"""Architectures as plain nn.Modules, and the sources of their weights."""
