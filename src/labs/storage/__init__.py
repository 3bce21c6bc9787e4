"""Files on disk: written atomically, arrays computed once, archives downloaded and verified."""
