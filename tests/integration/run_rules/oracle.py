"""What the cluster holds, as the official Kubernetes client sees it: none of our own code is asked."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

# By name, because the package has no types.
CLIENT: Any = import_module("kubernetes.client")
CONFIG: Any = import_module("kubernetes.config")

TIMEOUT_SECONDS = 10


class Oracle:
    """Reads objects, as an administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        session = CONFIG.new_client_from_config(config_file=str(kubeconfig))
        self._custom = CLIENT.CustomObjectsApi(session)
        self._core = CLIENT.CoreV1Api(session)

    def find_diemjob(self, namespace: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._custom.get_namespaced_custom_object(
            "diem.io", "v1", namespace, "diemjobs", name, _request_timeout=TIMEOUT_SECONDS
        )
        return found

    def list_jobs(self, namespace: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._custom.list_namespaced_custom_object(
            "batch", "v1", namespace, "jobs", _request_timeout=TIMEOUT_SECONDS
        )["items"]
        return found

    def list_pods(self, namespace: str) -> list[dict[str, Any]]:
        return _read(self._core.list_namespaced_pod, namespace)

    def list_events(self, namespace: str) -> list[dict[str, Any]]:
        return _read(self._core.list_namespaced_event, namespace)


def _read(method: Any, namespace: str) -> list[dict[str, Any]]:  # noqa: ANN401 - the package has no types
    answer = method(namespace, _preload_content=False, _request_timeout=TIMEOUT_SECONDS)
    found: list[dict[str, Any]] = json.loads(answer.data)["items"]
    return found
