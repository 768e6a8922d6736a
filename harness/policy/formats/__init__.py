"""One format of settings in each file."""
