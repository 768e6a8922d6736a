"""`harness examine`: a grid of faults for two programs, and what each end did, without a claim."""
