"""Packet capture: what the kernel tells of frames on an interface, and their parsing."""
