"""Sends floods now and then, and adds up what they were answered."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.reliability.callers import PATH

CONNECTIONS = 100
PERIOD_SECONDS = 20.0
FLOOD_SECONDS = 6.0

_EXPECTED = {"good": {"none", "200", "429", "503"}, "bad": {"none", "401", "429", "503"}}


@dataclass
class Floods:
    """Floods from `begin` to `end`.

    Attributes:
        counts: answers by kind of key and HTTP code.
    """

    port: int
    token: str
    names: Sequence[str]
    seconds: float = FLOOD_SECONDS
    period_seconds: float = PERIOD_SECONDS
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {"good": Counter(), "bad": Counter()})
    _is_over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="floods", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def complain(self) -> list[str]:
        """Return what was answered that should not have been, and what never came about."""
        strange = [
            f"{number} requests with {kind} keys were answered {code}"
            for kind, count in self.counts.items()
            for code, number in count.items()
            if code not in _EXPECTED[kind]
        ]
        missing = [f"the flood got no {code}" for kind, code in (("good", "200"), ("bad", "401"))
                   if not self.counts[kind][code]]  # fmt: skip
        return strange + missing

    def _run(self) -> None:
        while not self._is_over.wait(self.period_seconds - self.seconds):
            for kind, count in self._send().items():
                self.counts[kind].update(count)

    def _send(self) -> dict[str, dict[str, int]]:
        order = {
            "url": f"http://127.0.0.1:{self.port}{PATH}",
            "token": self.token,
            "names": list(self.names),
            "seconds": self.seconds,
            "connections": CONNECTIONS,
        }
        command = [sys.executable, "-m", "tests.reliability.load.flood"]
        done = subprocess.run(
            command, input=json.dumps(order), stdout=subprocess.PIPE, text=True, check=True, timeout=self.seconds + 60
        )
        counts: dict[str, dict[str, int]] = json.loads(done.stdout)
        return counts
