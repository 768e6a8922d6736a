"""Hosts, links, firewalls and programs, in network namespaces or containers."""
