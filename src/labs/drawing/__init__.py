"""Figures for runs and reports."""
