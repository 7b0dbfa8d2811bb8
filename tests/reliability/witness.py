"""Sees every version of every object of some kinds in a namespace, by watches of its own, past all proxies."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import requests

from tests.reliability.kube import Kube, KubeError
from tests.reliability.waiting import eventually

RETRY_SECONDS = 0.05
RUNS: Final = ("diemjobs", "jobs")
KEYS: Final = ("diemapikeys", "secrets")


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
    """Watches from `start` to `stop`; what is in a Secret it does not keep."""

    kube: Kube
    namespace: str
    kinds: Sequence[str] = RUNS
    seen: list[Seen] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_stopped: bool = False

    def start(self) -> None:
        """See what is there, and from then on every change."""
        for kind in self.kinds:
            since = self._compare(kind)
            thread = threading.Thread(target=self._watch, args=(kind, since), name=f"witness of {kind}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def catch_up(self) -> None:
        """Return when everything that is stored by now was seen."""
        for kind in self.kinds:
            eventually(f"the witness has seen the {kind}", partial(self._is_level, kind), within_seconds=15)

    def stop(self) -> None:
        """See nothing more; the threads end with their watches."""
        self._is_stopped = True

    def _is_level(self, kind: str) -> bool:
        stored = {
            raw["metadata"]["uid"]: raw["metadata"]["resourceVersion"]
            for raw in self.kube.list_all(kind, self.namespace)
        }
        last = self._find_last(kind)
        there = {uid: seen.raw["metadata"]["resourceVersion"] for uid, seen in last.items() if seen.type != "DELETED"}
        return stored == there

    def _watch(self, kind: str, since: str) -> None:
        while not self._is_stopped:
            try:
                since = self._follow(kind, since) or self._compare(kind)
            except (requests.RequestException, KubeError):
                continue
            finally:
                threading.Event().wait(RETRY_SECONDS)

    def _follow(self, kind: str, since: str) -> str | None:
        """Follow one watch to its end; return where to go on, None if nobody knows any more what was after that."""
        try:
            for event in self.kube.watch(kind, self.namespace, since):
                if event["type"] == "ERROR":
                    return None
                since = event["object"]["metadata"]["resourceVersion"]
                self.seen.append(Seen(kind, event["type"], _without_data(event["object"]), int(since)))
        except requests.RequestException:
            pass
        except KubeError as error:
            return None if error.status == HTTPStatus.GONE else since
        return since

    def _compare(self, kind: str) -> str:
        """Look at what is there before the first watch, or after a time without one, as after the API server's restart.

        What is gone is taken to have gone at once after it was last seen: nobody is blamed on a guess.
        """
        since = self.kube.read_revision(kind, self.namespace)
        stored = {raw["metadata"]["uid"]: raw for raw in self.kube.list_all(kind, self.namespace)}
        last = self._find_last(kind)
        for uid, seen in last.items():
            if uid not in stored and seen.type != "DELETED":
                self.seen.append(replace(seen, type="DELETED"))
        for uid, raw in stored.items():
            if uid not in last or last[uid].raw["metadata"]["resourceVersion"] != raw["metadata"]["resourceVersion"]:
                revision = int(raw["metadata"]["resourceVersion"])
                self.seen.append(Seen(kind, "MODIFIED", _without_data(raw), revision))
        return since

    def _find_last(self, kind: str) -> dict[str, Seen]:
        return {seen.raw["metadata"]["uid"]: seen for seen in list(self.seen) if seen.kind == kind}


def _without_data(raw: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name != "data"}
