"""Stand for the tests that a new method comes with."""
