"""Decides from a plan and its timeline alone."""
