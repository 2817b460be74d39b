"""Readers of the host's own accounts: procfs, control groups, the disk pool, noise."""
