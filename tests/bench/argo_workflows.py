"""Argo Workflows on the benchmark's control plane: its controller, and the Workflow that has it make a Pod."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.bench.arena import Arena
from tests.bench.clients import PODS, Object, run_all
from tests.bench.starts import Trigger
from tests.localcluster import Component, building, programs
from tests.localcluster.reporting import to_stderr
from tests.reliability.processes import read_usage

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"
CRDS = Path("manifests", "base", "crds", "minimal")
TUNED = ("--qps=5000", "--burst=5000", "--workflow-workers=64", "--pod-cleanup-workers=32")
"""What lets the controller go as fast as it can."""

CONFIGURATION = {"metricsConfig": "enabled: false\n"}


class _Objects(msgspec.Struct):
    items: list[Object]


class ArgoWorkflows:
    """The controller, for one namespace.

    Args:
        arena: where it runs; its CRDs are applied there.
        namespace: whose Workflows it works on.
    """

    def __init__(self, arena: Arena, namespace: str) -> None:
        self._arena = arena
        self._namespace = namespace
        program = programs.ARGO_WORKFLOWS
        crds = building.find_source(program, to_stderr) / CRDS
        arena.cluster.kubectl("apply", "--server-side", "--kustomize", str(crds))
        arena.cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/workflows.argoproj.io")
        # The first request has the API server set up its storage, and may be told to come again; kubectl does.
        arena.cluster.kubectl("get", "workflows", f"--namespace={namespace}")
        arena.site.kube.create(
            "configmaps", namespace, {"metadata": {"name": "workflow-controller-configmap"}, "data": CONFIGURATION}
        )
        self._command = (
            str(building.obtain([program], to_stderr)[program.name]),
            f"--kubeconfig={arena.cluster.admin_kubeconfig}",
            f"--namespace={namespace}",
            "--namespaced",
            "--executor-image=localhost/none",
            "--loglevel=error",
        )
        self._component: Component | None = None

    @contextmanager
    def running(self, *arguments: str) -> Iterator[None]:
        """Run it, with more arguments than it is shipped with if they are given."""
        self._component = Component(
            "workflow-controller",
            (*self._command, *arguments),
            log_file=self._arena.site.directory / "workflow-controller.log",
            environment={"LEADER_ELECTION_DISABLE": "true", "HOME": os.environ.get("HOME", "/")},
        )
        self._component.start()
        try:
            yield
        finally:
            self._component.stop()

    def read_processor_seconds(self) -> float:
        """Return what it has taken since it was started."""
        assert self._component is not None
        assert self._component.pid is not None
        return read_usage(self._component.pid)[1]

    @property
    def trigger(self) -> Trigger:
        """The creation of a Workflow of one step; a Pod comes of it."""
        return Trigger(
            prepare=self._prepare_nothing,
            start=self._start,
            children=PODS.format(self._namespace),
            find_id=_find_workflow,
        )

    async def clear(self) -> None:
        """Remove all Workflows, and their Pods with what keeps them."""
        for collection in (WORKFLOWS, PODS):
            path = collection.format(self._namespace)
            found = msgspec.json.decode(await self._arena.kube.send("GET", path), type=_Objects)
            await run_all(self._remove(f"{path}/{each.metadata.name}") for each in found.items)

    async def _remove(self, path: str) -> None:
        kube = self._arena.kube
        await kube.send("DELETE", path, {"gracePeriodSeconds": 0}, is_gone_fine=True)
        body = {"metadata": {"finalizers": None}}
        await kube.send("PATCH", path, body, content_type="application/merge-patch+json", is_gone_fine=True)

    async def _prepare_nothing(self, _: Sequence[str]) -> None:
        pass

    async def _start(self, name: str) -> tuple[str, float]:
        await self._arena.kube.send("POST", WORKFLOWS.format(self._namespace), _make_workflow(name))
        return name, time.perf_counter()


def _make_workflow(name: str) -> dict[str, object]:
    step = {"name": "main", "container": {"image": "localhost/diem/busybox:local", "command": ["true"]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": [step]},
    }


def _find_workflow(found: Object) -> str:
    return found.metadata.labels.get("workflows.argoproj.io/workflow", "")
