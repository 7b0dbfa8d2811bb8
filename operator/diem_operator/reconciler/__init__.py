"""The imperative shell around `planning`: who may write, what is due, and observe → plan → apply."""
