"""Carries out one plan: the event loop, and the injection of faults."""
