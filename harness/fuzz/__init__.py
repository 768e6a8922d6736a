"""Random scenarios, held against the kernel."""
