"""What `benchmarks/speed.py` measures, one file a question."""
