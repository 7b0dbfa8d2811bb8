"""Decides, and does nothing: every run rule of the product as pure functions of frozen values.

`rules` says what is due, `policies` orders the rules into one plan, `statuses` builds what is reported, `job_manifest`
builds what is created, `commands` decides what a caller changes. No I/O, no clock, no randomness: what they
need of the world is an argument.
"""
