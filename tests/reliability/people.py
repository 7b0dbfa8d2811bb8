"""People with kubectl, GitOps controllers, and the cluster's own ways with pods and quotas."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from diem_operator.clock import now
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError
from tests.reliability.history import RunKey, find_outcome
from tests.reliability.installation import find_token, make_key
from tests.reliability.kube import KubeError
from tests.reliability.processes import Program
from tests.reliability.proxy.rules import Fault, Rule
from tests.reliability.scene import Raw, Scene
from tests.reliability.waiting import eventually

POD_PREFIX = "simulated.localcluster"
QUOTA = "no-jobs"
KEY_EXPIRES_IN_SECONDS = 2


def make_diemjob(name: str, *, pod: dict[str, str] | None = None, **spec: Any) -> Raw:
    """Return a DiemJob as a person writes it; its simulated pods run until they are told to end, unless `pod` says."""
    steering = {f"{POD_PREFIX}/{key}": value for key, value in ({"run-for": "forever"} | (pod or {})).items()}
    containers = [{"name": "main", "image": "localhost/diem/busybox:local"}]
    pod_spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": containers}
    template = {"metadata": {"annotations": steering}, "spec": pod_spec}
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {"name": name},
        "spec": {"jobTemplate": {"spec": {"backoffLimit": 0, "template": template}}} | spec,
    }


def make_rejected(name: str, **spec: Any) -> Raw:
    """Return a DiemJob whose template Kubernetes refuses: it mounts a volume that is not there."""
    diemjob = make_diemjob(name, **spec)
    container = diemjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "nowhere", "mountPath": "/data"}]
    return diemjob


def make_suspended_job(name: str) -> Raw:
    """Return a Job that nobody ever changes: not even the Job controller, once it has seen it."""
    pod = make_diemjob(name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {"metadata": {"name": name}, "spec": {"suspend": True, "template": {"spec": pod}}}


def restart_garbage_collector(cluster: LocalCluster) -> None:
    """Let it know a kind of resource that was made just now; by itself it looks for new ones twice a minute only."""
    assert cluster.controller_manager is not None
    cluster.controller_manager.restart()


def wait_for_diemjobs(cluster: LocalCluster) -> None:
    """Return when the API server, some time after its start, tells that there are DiemJobs, and gives them."""

    def are_served() -> bool:
        try:
            told = cluster.kubectl("get", "--raw=/apis/diem.io/v1")
            cluster.kubectl("get", "diemjobs")
        except KubectlError:
            return False
        return '"diemjobs"' in told

    eventually("DiemJobs are served", are_served)


@dataclass
class People(Scene):
    """What people do, each deed until it is done."""

    def create(self, manifest: Raw, *, resource: str = "diemjobs") -> None:
        """Create an object; it may be there already because the answer to a first try was lost."""
        name = manifest["metadata"]["name"]
        attempts: list[int] = []

        def create_once() -> None:
            attempts.append(1)
            try:
                self.kube.create(resource, self.namespace, manifest)
            except KubeError as error:
                if error.status != HTTPStatus.CONFLICT or len(attempts) == 1:
                    raise

        self.until_done(f"{name} is created", create_once)

    def reapply(self, manifest: Raw, *, resource: str = "diemjobs") -> None:
        """Apply a manifest, as GitOps does every few minutes."""
        self.until_done("a manifest is applied", lambda: self.kube.apply(resource, self.namespace, manifest))

    def set_state(self, name: str, state: str) -> None:
        self.patch(name, {"state": state})

    def patch(self, name: str, spec: Raw, *, resource: str = "diemjobs") -> None:
        """Replace fields of the spec; None removes one."""
        changes = [{"op": "add", "path": f"/spec/{key}", "value": value} for key, value in spec.items()]
        operations = [
            {"op": "remove", "path": change["path"]} if change["value"] is None else change for change in changes
        ]
        self.until_done(f"{name} is patched", lambda: self.kube.patch(resource, self.namespace, name, operations))

    def wipe_status(self, name: str) -> None:
        self.told.is_status_wiped = True
        patch = {"status": None}
        self.until_done(
            f"the status of {name} is wiped",
            lambda: self.kube.patch("diemjobs", self.namespace, name, patch, subresource="status"),
        )

    def delete(self, name: str, *, propagation: str = "Background") -> None:
        """Delete a DiemJob, and return when it is gone."""
        self.begin_deletion(name, propagation=propagation)
        self._wait_gone(name)

    def begin_deletion(self, name: str, *, resource: str = "diemjobs", propagation: str = "Background") -> None:
        """Delete an object, which a finalizer may hold."""
        self.until_done(
            f"{name} is deleted", lambda: self.kube.delete(resource, self.namespace, name, propagation=propagation)
        )

    def issue_key(self, name: str) -> str:
        """Make a key that opens every DiemJob, and return its token."""

        def read_token() -> str:
            return self.until_done("looked", lambda: find_token(self.kube, self.namespace, name))

        self.create(make_key(name), resource="diemapikeys")
        self.wait_until(f"key {name} is issued", lambda: bool(read_token()))
        return read_token()

    def revoke_key(self, name: str) -> None:
        """Revoke a key, and return when the operator has answered that."""
        self.patch(name, {"revoked": True}, resource="diemapikeys")
        self.wait_answered(name, resource="diemapikeys")

    def delete_key(self, name: str) -> None:
        """Delete a key, and return when it is gone."""
        self.begin_deletion(name, resource="diemapikeys")
        self._wait_gone(name, resource="diemapikeys")

    def let_key_expire(self, name: str) -> None:
        """Have a key expire in a moment, and return when the operator has told that; their clocks must agree."""
        moment = now() + timedelta(seconds=KEY_EXPIRES_IN_SECONDS)
        self.patch(name, {"expiresAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}, resource="diemapikeys")

        def has_expired() -> bool:
            key = self.until_done("looked", lambda: self.kube.get("diemapikeys", self.namespace, name))
            return any(condition["reason"] == "Expired" for condition in key["status"]["conditions"])

        self.wait_until(f"key {name} has expired", has_expired)

    @contextmanager
    def held(self, name: str, *, resource: str = "diemjobs") -> Iterator[None]:
        """Let an object stay although it is deleted, as somebody else's finalizer does, until the block ends."""

        def set_finalizers(finalizers: list[str] | None) -> None:
            patch = {"metadata": {"finalizers": finalizers}}
            self.kube.patch(resource, self.namespace, name, patch)

        def let_go() -> None:
            try:
                set_finalizers(None)
            except KubeError as error:
                if error.status != HTTPStatus.NOT_FOUND:  # else the answer to a first try was lost
                    raise

        self.until_done(f"{name} is held", lambda: set_finalizers(["example.com/hold"]))
        try:
            yield
        finally:
            self.until_done(f"{name} is let go", let_go)

    def delete_jobs(self, name: str, *, propagation: str = "Background") -> None:
        """Delete the Jobs of a DiemJob."""
        for job in self.list_jobs(name):
            metadata = job["metadata"]
            run = RunKey(metadata["ownerReferences"][0]["uid"], metadata["annotations"]["diem.io/run-id"])
            self.told.excused.add(run)
            self.begin_deletion(metadata["name"], resource="jobs", propagation=propagation)

    def patch_jobs(self, name: str, patch: Raw) -> None:
        """Change the unfinished Jobs of a DiemJob."""
        for job in self._list_unfinished(name):
            self._patch_job(job["metadata"]["name"], patch)

    def create_foreign_job(self, name: str, *, diemjob: str, run_id: str, owner: str = "") -> None:
        """Make a Job that is none of ours, though it bears our marks; only a reference to its owner is proof.

        Args:
            name: of the Job.
            diemjob: in its label.
            run_id: in its annotation.
            owner: the DiemJob that it refers to; none if empty.
        """
        manifest = make_suspended_job(name)
        labels = {"app.kubernetes.io/managed-by": "diem-operator", "diem.io/diemjob": diemjob}
        manifest["metadata"] |= {"labels": labels, "annotations": {"diem.io/run-id": run_id}}
        if owner:
            reference = {"apiVersion": "diem.io/v1", "kind": "DiemJob", "name": owner, "controller": True}
            reference["uid"] = self.read(owner)["metadata"]["uid"]
            manifest["metadata"]["ownerReferences"] = [reference]
        self.create(manifest, resource="jobs")

        def is_settled() -> bool:
            job = self.read(name, resource="jobs")
            self.told.foreign[job["metadata"]["uid"]] = job["metadata"]["resourceVersion"]
            return bool(job.get("status", {}).get("conditions"))

        self.wait_until("the Job controller has seen the foreign Job", is_settled)

    def finish_pods(self, name: str, *, exit_code: int = 0) -> None:
        """Let the pods of a DiemJob's unfinished Jobs come to their end."""
        steering = {f"{POD_PREFIX}/run-for": "1ms", f"{POD_PREFIX}/exit-code": str(exit_code)}
        self.until_done(f"the pods of {name} end", lambda: self._steer(name, steering))

    def watch_anew(self, program: Program, resource: str, fault: Fault) -> Rule:
        """Let a process lose its watches, and new ones of one kind meet a fault; return when the first has."""
        rule = program.proxy.rules.add(lambda call: call.what == f"watch {resource}", fault)
        program.proxy.break_connections()
        self.wait_until(f"{resource} are watched anew", lambda: bool(rule.met))
        return rule

    @contextmanager
    def away(self, program: Program) -> Iterator[None]:
        """Scale one of our processes to none, and back at the end of the block."""
        program.stop()
        try:
            yield
        finally:
            program.start()
        program.wait_ready(within_seconds=self.patience_seconds)

    def forbid_jobs(self) -> None:
        """Use up a quota, and return when Jobs are refused: admission hears of it late."""
        spec = {"hard": {"count/jobs.batch": "0"}}
        self.create({"metadata": {"name": QUOTA}, "spec": spec}, resource="resourcequotas")
        self.wait_until("Jobs are refused", lambda: not self.until_done("tried", self._may_create_jobs))

    def allow_jobs(self) -> None:
        self.begin_deletion(QUOTA, resource="resourcequotas")

    def _wait_gone(self, name: str, *, resource: str = "diemjobs") -> None:
        def is_gone() -> bool:
            return self.until_done("looked", lambda: self.kube.find(resource, self.namespace, name)) is None

        self.wait_until(f"{name} is gone", is_gone)

    def _may_create_jobs(self) -> bool:
        try:
            self.kube.create("jobs", self.namespace, make_suspended_job("probe"), is_dry_run=True)
        except KubeError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return False
        return True

    def _patch_job(self, name: str, patch: Raw) -> None:
        self.until_done(f"Job {name} is patched", lambda: self.kube.patch("jobs", self.namespace, name, patch))

    def _steer(self, name: str, annotations: dict[str, str]) -> None:
        for job in self._list_unfinished(name):
            selector = f"batch.kubernetes.io/job-name={job['metadata']['name']}"
            list_pods = partial(self.kube.list_all, "pods", self.namespace, selector=selector)
            for pod in self.until_done("its pods are listed", list_pods):
                pod_name = pod["metadata"]["name"]
                self.until_done(f"{pod_name} is annotated", partial(self._annotate_pod, pod_name, annotations))

    def _annotate_pod(self, name: str, annotations: dict[str, str]) -> None:
        """Annotate a pod, unless it has gone meanwhile: one of before a suspension may."""
        try:
            self.kube.patch("pods", self.namespace, name, {"metadata": {"annotations": annotations}})
        except KubeError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _list_unfinished(self, name: str) -> list[Raw]:
        return [job for job in self.list_jobs(name) if not find_outcome(job)]
