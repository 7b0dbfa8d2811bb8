"""`make audit`: whether the locked requirements are pinned, still offered, and free of known vulnerabilities.

    requirements/*.txt ─► locks: pinned and hashed?
                       ─► index: does pip still find each file, and has none been withdrawn?
                       ─► advisories: does pip-audit know something against one? ─► minus vex: what does not affect us

What could not be looked at is never taken for good: it is said, and has an exit code of its own.
"""
