"""One rule in each file, found by its name."""
