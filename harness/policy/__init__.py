"""Settings and demands in, findings out: `harness check`."""
