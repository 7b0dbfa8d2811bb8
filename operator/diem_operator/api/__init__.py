"""The HTTP API: intent in, facts out. It reads and patches DiemJobs, reads DiemApiKeys, and can do nothing else."""
