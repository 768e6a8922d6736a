"""Labs for tests that are written by hand."""
