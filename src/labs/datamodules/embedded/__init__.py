"""Offline data: drawn by the project where no real data is available without a network."""
