"""Live sockets in, findings out: `harness audit`. Pure functions."""
