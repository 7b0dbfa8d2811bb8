"""Sees every version of every DiemJob and Job of a namespace, by watches of its own, past all proxies."""

import threading
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from tests.reliability.kube import Kube, KubeError
from tests.reliability.waiting import eventually

KINDS: Final = ("diemjobs", "jobs")


@dataclass(frozen=True)
class Seen:
    """One version of one object, or its end.

    Attributes:
        revision: of the whole store: it orders objects of all kinds.
    """

    kind: str
    type: str
    raw: dict[str, Any]
    revision: int


@dataclass
class Witness:
    """Watches from `start` to `stop`."""

    kube: Kube
    namespace: str
    seen: list[Seen] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_stopped: bool = False

    def start(self) -> None:
        for kind in KINDS:
            since = self.kube.read_revision(kind, self.namespace)
            thread = threading.Thread(target=self._watch, args=(kind, since), name=f"witness of {kind}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def catch_up(self) -> None:
        """Return when everything that is stored by now was seen."""
        for kind in KINDS:
            eventually(f"the witness has seen the {kind}", lambda kind=kind: self._is_level(kind), within_seconds=15)  # type: ignore[misc] # bound at once

    def stop(self) -> None:
        """See nothing more; the threads end with their watches."""
        self._is_stopped = True

    def _is_level(self, kind: str) -> bool:
        stored = {
            raw["metadata"]["uid"]: raw["metadata"]["resourceVersion"]
            for raw in self.kube.list_all(kind, self.namespace)
        }
        last = {seen.raw["metadata"]["uid"]: seen for seen in list(self.seen) if seen.kind == kind}
        there = {uid: seen.raw["metadata"]["resourceVersion"] for uid, seen in last.items() if seen.type != "DELETED"}
        return stored == there

    def _watch(self, kind: str, since: str) -> None:
        while not self._is_stopped:
            try:
                for event in self.kube.watch(kind, self.namespace, since):
                    if event["type"] == "ERROR":
                        break
                    since = event["object"]["metadata"]["resourceVersion"]
                    self.seen.append(Seen(kind, event["type"], event["object"], int(since)))
            except (requests.RequestException, KubeError):
                threading.Event().wait(0.1)
