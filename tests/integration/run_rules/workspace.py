"""A namespace with DiemJobs in it: what people write there, and what becomes of it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from diem_operator.clock import now
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import build_job_name
from tests.integration.operator_process import eventually
from tests.integration.run_rules.oracle import Oracle
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError

NAME = "etl"
WITHIN_SECONDS = 30.0
FOREVER = {"run-for": "forever"}
SHORT = {"run-for": "200ms"}
NEVER_STARTS = {"start-after": "never"}

Manifest = dict[str, Any]


def make_manifest(name: str = NAME, *, pod: Mapping[str, str] | None = None, **spec: Any) -> Manifest:
    """Return a DiemJob as a person writes it.

    Args:
        name: of the DiemJob.
        pod: how its simulated pods live; by default they run for a short time.
        spec: fields of its spec; `jobTemplate` takes the place of the usual one.
    """
    annotations = {f"simulated.localcluster/{key}": value for key, value in (pod or SHORT).items()}
    containers = [{"name": "main", "image": "localhost/diem/busybox:local"}]
    template = {
        "metadata": {"annotations": annotations},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": containers},
    }
    job_template = {"spec": {"backoffLimit": 0, "template": template}}
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {"name": name},
        "spec": {"jobTemplate": job_template} | spec,
    }


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """One namespace."""

    cluster: LocalCluster
    oracle: Oracle
    namespace: str

    # What people do

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=input)

    def create(self, *, pod: Mapping[str, str] | None = None, **spec: Any) -> Manifest:
        """Create the DiemJob; return the manifest."""
        return self.create_as_written(make_manifest(pod=pod, **spec))

    def create_as_written(self, manifest: Manifest) -> Manifest:
        self.oracle.create_diemjob(self.namespace, manifest)
        return manifest

    def apply(self, manifest: Manifest, *flags: str) -> None:
        self.kubectl("apply", *flags, "--filename", "-", input=json.dumps(manifest))

    def patch(self, **spec: Any) -> None:
        """Write fields of the DiemJob's spec, each as a whole."""
        operations = [{"op": "add", "path": f"/spec/{field}", "value": value} for field, value in spec.items()]
        self.oracle.patch_diemjob(self.namespace, NAME, operations)

    def start(self, run_id: str, **run: Any) -> None:
        """Ask for a run by id, as the API does."""
        self.patch(state="running", run={"id": run_id, **run})

    def stop(self, run_id: str) -> None:
        """Ask for the end of a run, as the API does."""
        self.patch(state="stopped", run={"id": run_id, "stop": {"requestedBy": "apikey/test"}})

    def forge_job(self, run_id: str, *, number: int, finished_seconds_ago: int | None) -> None:
        """Create the Job of a run behind the operator's back, as a late write would; None: it is not finished.

        Its name is not that of a true one, and it is suspended, so it has no pods.
        """
        diemjob = self.diemjob
        owner = {"apiVersion": "diem.io/v1", "kind": "DiemJob", "name": NAME, "uid": diemjob["metadata"]["uid"]}
        template = diemjob["spec"]["jobTemplate"]["spec"]
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": f"forged-{run_id}",
                "labels": {"app.kubernetes.io/managed-by": "diem-operator", "diem.io/diemjob": NAME},
                "annotations": {"diem.io/run-id": run_id, "diem.io/run-number": str(number)},
                "ownerReferences": [owner | {"controller": True}],
            },
            "spec": template | {"suspend": True},
        }
        self.kubectl("create", "--filename", "-", input=json.dumps(manifest))
        if finished_seconds_ago is not None:
            self._finish_job(f"forged-{run_id}", now() - timedelta(seconds=finished_seconds_ago))

    def _finish_job(self, name: str, at: datetime) -> None:
        stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": stamp, "lastProbeTime": stamp}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        status = {"startTime": stamp, "completionTime": stamp, "conditions": conditions}
        patch = json.dumps({"status": status})
        self.kubectl("patch", "job", name, "--subresource=status", "--type=merge", "--patch", patch)

    def write_status(self, status: object) -> None:
        """Overwrite the DiemJob's status, as a person with the right to it may."""
        self.kubectl(
            *("patch", "diemjob", NAME, "--subresource=status", "--type=merge", "--patch"),
            json.dumps({"status": status}),
        )

    def steer_pods(self, **annotations: str) -> None:
        """Change how the simulated pods live."""
        changes = [f"simulated.localcluster/{key.replace('_', '-')}={value}" for key, value in annotations.items()]
        self.kubectl("annotate", "pods", "--all", "--overwrite", *changes)

    def forbid(self, kind: str, *command: str) -> None:
        """Run a kubectl command, and return when pods or Jobs are refused because of it: admission hears of it late."""
        self.kubectl(*command)
        probe = {"job": ("create", "job", "probe"), "pod": ("run", "probe")}[kind]
        self.wait_until(f"{kind}s are refused", lambda: not self._is_allowed(*probe))

    def _is_allowed(self, *command: str) -> bool:
        try:
            self.kubectl(*command, "--image=localhost/diem/busybox:local", "--dry-run=server")
        except KubectlError:
            return False
        return True

    # What is there

    @property
    def diemjob(self) -> dict[str, Any]:
        return self.oracle.find_diemjob(self.namespace, NAME)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.diemjob.get("status", {})
        return found

    @property
    def run(self) -> dict[str, Any]:
        """The latest run; empty before the first."""
        found: dict[str, Any] = self.status.get("run", {})
        return found

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs that are over, newest first."""
        found: list[dict[str, Any]] = self.status.get("runs", [])
        return found

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return self.oracle.list_jobs(self.namespace)

    @property
    def pods(self) -> list[dict[str, Any]]:
        return self.oracle.list_pods(self.namespace)

    def find_runs(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return the latest runs of several DiemJobs; empty where there was none."""
        found = [self.oracle.find_diemjob(self.namespace, name) for name in names]
        return [diemjob.get("status", {}).get("run", {}) for diemjob in found]

    @property
    def event_reasons(self) -> list[str]:
        """The reasons of all Events about the DiemJob, sorted."""
        return sorted(reason for _, reason in self.count_events().elements())

    def count_events(self) -> Counter[tuple[str, str]]:
        """Return how many Events there are of each reason about each DiemJob."""
        objects = [(event["involvedObject"], event["reason"]) for event in self.oracle.list_events(self.namespace)]
        return Counter((about["name"], reason) for about, reason in objects if about["kind"] == "DiemJob")

    def find_condition(self, kind: str) -> dict[str, Any]:
        return next(found for found in self.status.get("conditions", [{"type": kind}]) if found["type"] == kind)

    def find_job_name(self, run_id: str) -> str:
        """Return the name that the Job of a run has, or would have."""
        return build_job_name(NAME, Uid(self.diemjob["metadata"]["uid"]), RunId(run_id))

    # What is waited for

    def wait_run(self, phase: str, run_id: str | None = None, *, reason: str | None = None) -> dict[str, Any]:
        """Return the latest run once it is in this phase; with an id or a reason, only then."""
        expected = {"phase": phase, "id": run_id, "reason": reason}
        wanted = {name: value for name, value in expected.items() if value is not None}
        self.wait_until(f"the run is {wanted}", lambda: wanted.items() <= self.run.items())
        return self.run

    def wait_all(self, names: Sequence[str], phase: str, *, within_seconds: float = WITHIN_SECONDS) -> None:
        """Return when the latest runs of several DiemJobs are in this phase."""
        self.wait_until(
            f"all are {phase}",
            lambda: {run.get("phase") for run in self.find_runs(names)} == {phase},
            within_seconds=within_seconds,
        )

    def wait_answered(self) -> None:
        """Return when the operator has answered the spec as it is now: all that it would start is started."""
        self.wait_until(
            "the spec is answered",
            lambda: self.status.get("observedGeneration") == self.diemjob["metadata"]["generation"],
        )

    def wait_until(self, what: str, holds: Callable[[], bool], *, within_seconds: float = WITHIN_SECONDS) -> None:
        try:
            eventually(what, holds, within_seconds=within_seconds)
        except AssertionError as error:
            kinds = {
                "DiemJobs": self.oracle.list_diemjobs(self.namespace),
                "Jobs": self.jobs,
                "pods": self.pods,
            }
            found = {kind: {each["metadata"]["name"]: each.get("status") for each in kinds[kind]} for kind in kinds}
            raise AssertionError(f"{error}; there are {json.dumps(found)}") from None
