"""Measures with a state: over two domains, and of generated images through a judge."""
