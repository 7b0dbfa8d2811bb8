"""What people and callers do. A new feature adds its story here, in a file of its own, and meets every fault."""
