"""Follows log files as they grow, several at once, line by line."""

from collections.abc import Iterator
from pathlib import Path


class LogFollower:
    """What came into one log file since the last look."""

    def __init__(self, label: str, path: Path) -> None:
        """Begin at the start of the file; the label will stand before each line."""
        self._label = label
        self._path = path
        self._position = 0

    def read_new(self) -> Iterator[str]:
        """Yield the lines that were completed since the last call."""
        with self._path.open("rb") as log:
            log.seek(self._position)
            complete, newline, _ = log.read().rpartition(b"\n")
        self._position += len(complete) + len(newline)
        for line in complete.decode(errors="replace").splitlines():
            yield f"{self._label} | {line}"
