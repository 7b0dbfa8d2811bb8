"""The API server's own record of requests, which it goes on writing while it is read."""

from pathlib import Path


def read_whole_lines(file: Path, *, since: int) -> list[bytes]:
    """Return the lines that begin at or after a size that the file had once, and that are complete by now."""
    with file.open("rb") as record:
        record.seek(max(0, since - 1))
        if since:
            record.readline()  # the rest of a line that was being written then; else what ends the one before
        return [line for line in record if line.endswith(b"\n")]
