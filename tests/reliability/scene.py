"""What everybody in a story shares: one installation, what was told in it, and ways to look and to wait."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import requests

from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import build_job_name
from tests.reliability.history import RunKey, Told
from tests.reliability.installation import Installation
from tests.reliability.kube import KubeError
from tests.reliability.waiting import eventually

PATIENCE_SECONDS = 100.0
"""After a POST without an answer, a stop may take 70 seconds."""

PAUSE_SECONDS = 0.1

_TRY_AGAIN = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}

Raw = dict[str, Any]
T = TypeVar("T")


@dataclass
class Scene:
    """One installation, and what it has told.

    Attributes:
        patience_seconds: how long a deed or a wait may take.
    """

    installation: Installation
    told: Told = field(default_factory=Told)
    patience_seconds: float = PATIENCE_SECONDS

    def __post_init__(self) -> None:
        self.kube = self.installation.kube
        self.namespace = self.installation.namespace

    # Looking

    def read(self, name: str, *, resource: str = "diemjobs") -> Raw:
        """Return a DiemJob, or an object of another kind."""
        return self.until_done(f"{name} is read", lambda: self.kube.get(resource, self.namespace, name))

    def status_of(self, name: str) -> Raw:
        """Return its status; empty where there is none."""
        found = self.until_done(f"{name} is read", lambda: self.kube.find("diemjobs", self.namespace, name))
        return {} if found is None else dict(found.get("status", {}))

    def list_jobs(self, name: str) -> list[Raw]:
        """Return the Jobs of a DiemJob."""
        selector = f"diem.io/diemjob={name}"
        return self.until_done(
            f"the Jobs of {name} are listed", lambda: self.kube.list_all("jobs", self.namespace, selector=selector)
        )

    def find_job_name(self, name: str, run_id: str) -> str:
        """Return the name that the Job of a run has, or would have."""
        return build_job_name(name, Uid(self.read(name)["metadata"]["uid"]), RunId(run_id))

    # Waiting

    def wait_run(self, name: str, phase: str, label: str, *, reason: str | None = None) -> None:
        """Return when the latest run is the one of that label and in this phase, with this reason if one is given."""

        def is_there() -> bool:
            run = self.status_of(name).get("run", {})
            return run.get("phase") == phase and self.label_of(name, run["id"]) == label

        self.wait_until(f"the latest run of {name} is {label} {phase}", is_there)
        if reason is not None:
            assert self.status_of(name)["run"]["reason"] == reason

    def wait_answered(self, name: str, *, resource: str = "diemjobs") -> None:
        """Return when the operator has answered the spec as it is."""

        def is_answered() -> bool:
            found = self.read(name, resource=resource)
            return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

        self.wait_until(f"the spec of {name} is answered", is_answered)

    def wait_recorded(self, name: str) -> None:
        """Return when a DiemJob bears the mark that its first run is over."""

        def is_marked() -> bool:
            return "diem.io/recorded-uid" in self.read(name)["metadata"].get("annotations", {})

        self.wait_until(f"{name} is marked", is_marked)

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        """Return as soon as it holds."""
        try:
            eventually(what, holds, within_seconds=self.patience_seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._describe()}") from None

    def _describe(self) -> str:
        """Return the objects of the story as they are, for an error message."""
        objects = [each for kind in ("diemjobs", "jobs", "pods") for each in self.kube.list_all(kind, self.namespace)]
        parts = ("metadata", "spec", "status")
        return "\n".join(json.dumps({part: each.get(part, {}) for part in parts}) for each in objects)

    def until_done(self, what: str, deed: Callable[[], T]) -> T:
        """Do something with the API server, again as long as that cannot be reached."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                return deed()
            except (requests.RequestException, KubeError) as error:
                is_final = isinstance(error, KubeError) and error.status not in _TRY_AGAIN
                if is_final or time.monotonic() > deadline:
                    raise AssertionError(f"Could not be done: {what}: {error}") from error
            time.sleep(PAUSE_SECONDS)

    def pause(self, seconds: float) -> None:
        """Let time pass, for what must not happen in it."""
        time.sleep(seconds)

    # Names

    def key_of(self, name: str, run_id: str) -> RunKey:
        return RunKey(self.read(name)["metadata"]["uid"], run_id)

    def label_of(self, name: str, run_id: str) -> str:
        """Return what the story calls a run; its id where it has no other name."""
        return self.told.labels.get(self.key_of(name, run_id), run_id)
