"""Offline data: what the project draws where nothing real can be had without a network."""
