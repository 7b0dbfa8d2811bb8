"""A queue in which nobody waits for what others have brought: in order for each subject, in turn among subjects."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class FairQueue(Generic[Item]):
    """Items by subject; `max_per_subject` of one may wait."""

    def __init__(self, *, max_per_subject: int) -> None:
        self._max_per_subject = max_per_subject
        # Whose turn is next stands first. No plain dicts: they take ever longer to find their first entry.
        self._queues: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def put(self, subject: str, item: Item) -> bool:
        """Append an item; return False, and leave the queue as it is, where the subject has too many already."""
        queue = self._queues.get(subject)
        if queue is None:
            queue = self._queues[subject] = OrderedDict()
        if len(queue) >= self._max_per_subject:
            return False
        queue[item] = None
        return True

    def take(self) -> Item | None:
        """Remove and return the item that is next; None where there is none."""
        if not self._queues:
            return None
        subject, queue = self._queues.popitem(last=False)
        item, _ = queue.popitem(last=False)
        if queue:
            self._queues[subject] = queue
        return item

    def discard(self, subject: str, item: Item) -> None:
        """Remove an item, whether it is there or not."""
        queue = self._queues.get(subject, OrderedDict())
        queue.pop(item, None)
        if not queue:
            self._queues.pop(subject, None)
