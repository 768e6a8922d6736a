"""Values that several layers share: topologies, durations, machines, heartbeats, commands."""
