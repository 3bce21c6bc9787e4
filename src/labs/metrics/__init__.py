"""Stateful metrics: over two domains, and for generated images."""
