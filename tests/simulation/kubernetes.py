"""The moves of Kubernetes: its Job controller, its kubelets, and time."""

from diem_operator.model.metadata import RawObject
from tests.simulation.api_server import is_being_deleted, is_finished
from tests.simulation.world import World


class Kubernetes(World):
    """What becomes of Jobs."""

    def advance_job(self, place: int, event: str) -> None:
        """The Job controller and the kubelet do their part."""
        name = self._choose_job(place)
        if name is None:
            return
        job = self.server.jobs[name]
        if event == "gone":
            if is_being_deleted(job):
                self.server.finish_deletion(name)
        elif not is_finished(job) and (event == "complete" or not is_being_deleted(job)):
            self._advance_unfinished_job(name, event)

    def _advance_unfinished_job(self, name: str, event: str) -> None:
        now = self.server.now.isoformat()
        begun = {"startTime": self.server.jobs[name]["status"].get("startTime", now), "active": 1}
        endings = {"complete": "Complete", "fail": "Failed"}
        if event in endings:
            condition = {
                "type": endings[event],
                "status": "True",
                "reason": "" if event == "complete" else "BackoffLimitExceeded",
                "lastTransitionTime": now,
            }
            self.ledger.note_ending(self.server.jobs[name], endings[event])
            ended: RawObject = {"startTime": begun["startTime"], "conditions": [condition]}
            self.server.update_job(name, lambda raw: raw | {"status": ended})
        elif event in {"suspend", "resume"}:
            self.server.update_job(name, lambda raw: raw | {"spec": raw["spec"] | {"suspend": event == "suspend"}})
        else:
            ready = {"begin": 0, "ready": 1}[event]
            self.server.update_job(name, lambda raw: raw | {"status": begun | {"ready": ready}})
