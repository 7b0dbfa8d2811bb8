"""Decides, and does nothing: every run rule of the product as pure functions of frozen values.

    rules       what is due, what must end, what a caller sees     world     all that a decision rests on
    plan        the order of the policies                          steps     all that a decision can be
    starting    a due start becomes a Job                          statuses  the status that follows
    recording   Jobs that the status does not know                 commands  what a caller's start or stop writes
    following   the live run and its Job
    accounting  requests that start nothing, a lost status
    housekeeping  old Jobs, and rest

No I/O, no clock, no randomness: what they need of the world is an argument. docs/run-rules.md numbers the rules and
says which function keeps each.
"""
