"""Measures starts, statuses, idling and failover on a real control plane, each beside a baseline of the same run."""
