"""What can go wrong with a local cluster, as one small tree.

    LocalClusterError
    ├── MissingProgramError    a program or package of this machine is not there
    ├── BuildError             a Go program did not build
    ├── ComponentError         a process of the cluster did not start, or did not become ready
    └── KubectlError           kubectl said no

Nothing is decided here: messages are written where they are raised, and say what to do.
"""


class LocalClusterError(Exception):
    """Any failure of the local cluster."""


class MissingProgramError(LocalClusterError):
    """A program that the machine must have is not installed."""


class BuildError(LocalClusterError):
    """A program of the cluster could not be built."""


class ComponentError(LocalClusterError):
    """A process of the cluster ended early or did not become ready in time."""


class KubectlError(LocalClusterError):
    """A kubectl call failed."""
