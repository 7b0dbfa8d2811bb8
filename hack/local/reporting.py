"""What a person reads on the terminal, line by line as it happens."""

import contextlib


def say(text: str) -> None:
    """Print at once; a reader that has gone away is no reason to leave a cluster behind."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)
