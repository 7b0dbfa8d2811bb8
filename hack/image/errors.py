"""What can go wrong when the image is built.

ImageError
└── StepFailedError        a program that was called has failed; with the end of what it said

That a program of this machine is missing is MissingProgramError of `tests.localcluster`.
"""


class ImageError(Exception):
    """The image could not be built."""


class StepFailedError(ImageError):
    """A program that does a part of the build has failed."""
