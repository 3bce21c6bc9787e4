"""What a run is and leaves: its recipe, its directory, its life, and how to rebuild it."""
