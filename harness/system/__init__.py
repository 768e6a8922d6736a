"""What this machine gives: signals, descriptors, timers, folders, priorities, its clock."""
