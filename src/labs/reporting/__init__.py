"""Run directories to tables and figures, beside the published numbers."""
