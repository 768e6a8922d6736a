"""What a run will do and what must come of it, computed before it begins."""
