"""The cluster through the official Kubernetes client, as an administrator: none of our own code is asked."""

import json
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any

# By name, because the package has no types.
CLIENT: Any = import_module("kubernetes.client")
CONFIG: Any = import_module("kubernetes.config")

TIMEOUT_SECONDS = 10
DIEMJOBS = ("diem.io", "v1")
JSON_PATCH = "application/json-patch+json"


class Oracle:
    """Reads what there is, and writes what people write; much faster than to start kubectl each time."""

    def __init__(self, kubeconfig: Path) -> None:
        session = CONFIG.new_client_from_config(config_file=str(kubeconfig))
        self._custom = CLIENT.CustomObjectsApi(session)
        self._core = CLIENT.CoreV1Api(session)

    def create_namespace(self, name: str) -> None:
        self._core.create_namespace({"metadata": {"name": name}}, _request_timeout=TIMEOUT_SECONDS)

    def delete_namespace(self, name: str) -> None:
        """Ask for its deletion; it may be gone already."""
        try:
            self._core.delete_namespace(name, _request_timeout=TIMEOUT_SECONDS)
        except CLIENT.ApiException as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    def create_diemjob(self, namespace: str, manifest: dict[str, Any]) -> None:
        self._custom.create_namespaced_custom_object(
            *DIEMJOBS, namespace, "diemjobs", manifest, _request_timeout=TIMEOUT_SECONDS
        )

    def patch_diemjob(self, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        """Apply a JSON Patch."""
        self._custom.patch_namespaced_custom_object(
            *DIEMJOBS,
            namespace,
            "diemjobs",
            name,
            operations,
            _content_type=JSON_PATCH,
            _request_timeout=TIMEOUT_SECONDS,
        )

    def find_diemjob(self, namespace: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._custom.get_namespaced_custom_object(
            *DIEMJOBS, namespace, "diemjobs", name, _request_timeout=TIMEOUT_SECONDS
        )
        return found

    def list_diemjobs(self, namespace: str) -> list[dict[str, Any]]:
        return self._list_all(*DIEMJOBS, namespace, "diemjobs")

    def list_jobs(self, namespace: str) -> list[dict[str, Any]]:
        return self._list_all("batch", "v1", namespace, "jobs")

    def _list_all(self, group: str, version: str, namespace: str, plural: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._custom.list_namespaced_custom_object(
            group, version, namespace, plural, _request_timeout=TIMEOUT_SECONDS
        )["items"]
        return found

    def list_pods(self, namespace: str) -> list[dict[str, Any]]:
        return _read(self._core.list_namespaced_pod, namespace)

    def list_events(self, namespace: str) -> list[dict[str, Any]]:
        return _read(self._core.list_namespaced_event, namespace)


def _read(method: Any, namespace: str) -> list[dict[str, Any]]:
    answer = method(namespace, _preload_content=False, _request_timeout=TIMEOUT_SECONDS)
    found: list[dict[str, Any]] = json.loads(answer.data)["items"]
    return found
