"""The witness of a load: sees every version, keeps of each what the oracle asks for, and tells the fleet."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.reliability.history import RUN_ID, RunKey, find_owner
from tests.reliability.kube import Kube, KubeError
from tests.reliability.load.fleet import Fleet
from tests.reliability.witness import Seen, Witness

QUIET_SECONDS = 4.0

_METADATA = ("name", "uid", "resourceVersion", "generation", "deletionTimestamp", "ownerReferences")
_RUN = ("id", "phase", "reason", "jobUid")
Raw = dict[str, Any]


class QuickKube(Kube):
    """The API server, its watches read in pieces as they come and not byte by byte."""

    def watch(self, resource: str, namespace: str, resource_version: str) -> Iterator[Raw]:
        query = {"watch": "1", "resourceVersion": resource_version, "timeoutSeconds": "300"}
        url = self._url(resource, namespace, "")
        with self._session().get(url, params=query, stream=True, timeout=QUIET_SECONDS) as response:
            if not response.ok:
                raise KubeError(response.status_code, response.text)
            for line in response.iter_lines(chunk_size=None):
                yield json.loads(line)


class Sight(list[Seen]):
    """What was seen, made small; hundreds of thousands of versions have to fit."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._fleet = fleet
        self._runs: dict[tuple[Any, ...], Raw] = {}

    def append(self, seen: Seen) -> None:
        small = self._shrink(seen.raw)
        super().append(replace(seen, raw=small))
        if seen.kind == "diemjobs":
            self._fleet.note_diemjob(small)
        elif (owner := find_owner(small)) is not None:
            self._fleet.note_job(RunKey(owner[1], small["metadata"]["annotations"].get(RUN_ID, "")))

    def _shrink(self, raw: Raw) -> Raw:
        metadata = {key: raw["metadata"][key] for key in _METADATA if key in raw["metadata"]}
        annotations = raw["metadata"].get("annotations", {})
        metadata["annotations"] = {RUN_ID: annotations[RUN_ID]} if RUN_ID in annotations else {}
        status = raw.get("status", {})
        small = {key: status[key] for key in ("phase", "observedGeneration", "conditions") if key in status}
        if "run" in status:
            small["run"] = self._share(status["run"])
        if "runs" in status:
            small["runs"] = [self._share(run) for run in status["runs"]]
        return {"metadata": metadata, "spec": {"state": raw["spec"].get("state")}, "status": small}

    def _share(self, run: Raw) -> Raw:
        """Return one object for all versions that tell the same of a run."""
        small = {key: run[key] for key in _RUN if key in run}
        return self._runs.setdefault(tuple(small.items()), small)


def build_witness(kube: Kube, namespace: str, fleet: Fleet) -> Witness:
    """Return a witness that tells the fleet."""
    return Witness(kube, namespace, seen=Sight(fleet))
