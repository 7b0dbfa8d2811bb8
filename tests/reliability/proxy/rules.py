"""Which call meets which fault. Changed by tests, read by the proxy's own thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.reliability.proxy.calls import Call
from tests.reliability.proxy.forwarding import Forwarding, Outgoing

Condition = Callable[[Call], bool]


class Fault(Protocol):
    """What happens to a call instead of being passed on; `str()` names it in records."""

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        """Answer the call; `forwarding` is the way to the API server, and may be used once or not at all."""


@dataclass
class Rule:
    """A fault for some calls.

    Attributes:
        times: how many calls still meet it; None for all.
        met: the calls that did, in order.
    """

    when: Condition
    fault: Fault
    times: int | None = None
    met: list[Call] = field(default_factory=list)


class Rules:
    """The rules of one proxy; the first that applies to a call decides."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, when: Condition, fault: Fault, *, times: int | None = None) -> Rule:
        """Let calls meet a fault from now on."""
        rule = Rule(when, fault, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Let no more calls meet it; those under way still do."""
        with self._lock:
            self._rules.remove(rule)

    @contextmanager
    def during(self, when: Condition, fault: Fault) -> Iterator[Rule]:
        """Let calls meet a fault while the block runs."""
        rule = self.add(when, fault)
        try:
            yield rule
        finally:
            self.remove(rule)

    def find(self, call: Call) -> Fault | None:
        """Return what a call meets, and count it."""
        with self._lock:
            for rule in self._rules:
                if rule.times != 0 and rule.when(call):
                    rule.times = None if rule.times is None else rule.times - 1
                    rule.met.append(call)
                    return rule.fault
        return None
