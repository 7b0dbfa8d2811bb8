"""What writers need to know of leading: whether they may write now, and for how long."""

from typing import Protocol


class NotLeader(Exception):  # noqa: N818 - says what is, not that something is wrong
    """This process may not write now: another one leads, or could by now."""


class Leadership(Protocol):
    """What writers need to know."""

    @property
    def is_leader(self) -> bool:
        """Whether this process may write now."""

    def write_budget_seconds(self) -> float:
        """Return how long a write that starts now may take; its time-out is at most this.

        Raises:
            NotLeader: it may not be started.
        """
