"""Trials of a search: what they may vary, and the journal in which they are kept."""
