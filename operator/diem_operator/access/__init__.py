"""Who may do what: tokens, the registry of keys, permissions. Pure: no I/O, no clock, no randomness, no logging."""
