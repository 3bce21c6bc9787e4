"""Figures that runs and reports share."""
