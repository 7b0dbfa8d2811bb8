"""What can go wrong beside the cluster itself, as one small tree.

LocalRunError
├── PortTakenError         the API cannot listen where it should
├── AlreadyRunningError    this checkout's folder for a run is in use
├── ProcessDiedError       a process that should run until told otherwise has ended
├── NotInTimeError         something that was waited for did not come true
└── StoryError             a step of the demo was not answered as it should be
"""


class LocalRunError(Exception):
    """Any failure of `make run` or `make demo` that is not the cluster's own."""


class PortTakenError(LocalRunError):
    """The port of the API is not to be had."""


class AlreadyRunningError(LocalRunError):
    """Another run uses the same folder."""


class ProcessDiedError(LocalRunError):
    """The operator, the API or a part of the cluster ended by itself."""


class NotInTimeError(LocalRunError):
    """Something did not become true in time."""


class StoryError(LocalRunError):
    """An answer in the demo was not the expected one."""
