"""The API server as an administrator reaches it, without any of our own code and past all proxies."""

import json
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import requests

from tests.localcluster import LocalCluster

TIMEOUT_SECONDS = 15.0
QUIET_SECONDS = 4.0
RETRY_SECONDS = 0.1
Raw = dict[str, Any]

_GROUPS = {
    "diemjobs": "apis/diem.io/v1",
    "diemapikeys": "apis/diem.io/v1",
    "jobs": "apis/batch/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
}
_PATCHES = {dict: "application/merge-patch+json", list: "application/json-patch+json"}


class KubeError(Exception):
    """The API server said no.

    Attributes:
        status: the HTTP code.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Kube:
    """Reads and writes objects as JSON; safe to use from several threads."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.server = cluster.server
        pki = cluster.directory / "pki"
        self._certificate = (str(pki / "admin.crt"), str(pki / "admin.key"))
        self._ca_file = str(cluster.ca_file)
        self._local = threading.local()

    def get(self, resource: str, namespace: str, name: str) -> Raw:
        return self._ask("GET", resource, namespace, name)

    def find(self, resource: str, namespace: str, name: str) -> Raw | None:
        """Return the object; None when it does not exist."""
        try:
            return self.get(resource, namespace, name)
        except KubeError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def list_all(self, resource: str, namespace: str = "", *, selector: str = "") -> list[Raw]:
        query = {"labelSelector": selector} if selector else {}
        return list(self._ask("GET", resource, namespace, query=query)["items"])

    def read_revision(self, resource: str, namespace: str) -> str:
        """Return the resourceVersion of now."""
        return str(self._ask("GET", resource, namespace, query={"limit": "1"})["metadata"]["resourceVersion"])

    def create(self, resource: str, namespace: str, manifest: Raw, *, is_dry_run: bool = False) -> Raw:
        query = {"dryRun": "All"} if is_dry_run else {}
        return self._ask("POST", resource, namespace, query=query, body=manifest)

    def patch(self, resource: str, namespace: str, name: str, patch: Raw | list[Raw], *, subresource: str = "") -> Raw:
        """Merge an object, or apply the operations of a JSON Patch."""
        path = f"{name}/{subresource}" if subresource else name
        return self._ask("PATCH", resource, namespace, path, body=patch, content_type=_PATCHES[type(patch)])

    def replace(self, resource: str, namespace: str, manifest: Raw) -> Raw:
        return self._ask("PUT", resource, namespace, manifest["metadata"]["name"], body=manifest)

    def apply(self, resource: str, namespace: str, manifest: Raw) -> Raw:
        """Apply a manifest as GitOps does: server-side, by force."""
        query = {"fieldManager": "gitops", "force": "true"}
        kind = "application/apply-patch+yaml"
        name = manifest["metadata"]["name"]
        return self._ask("PATCH", resource, namespace, name, query=query, body=manifest, content_type=kind)

    def delete(self, resource: str, namespace: str, name: str, *, propagation: str = "Background") -> None:
        """Ask for its deletion; it may be gone already."""
        try:
            self._ask("DELETE", resource, namespace, name, body={"propagationPolicy": propagation})
        except KubeError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    def watch(self, resource: str, namespace: str, resource_version: str) -> Iterator[Raw]:
        """Give the events since a version, until the API server ends the watch, fails, or tells nothing for a while.

        Raises:
            KubeError: the API server said no.
            requests.RequestException: the connection failed.
        """
        query = {"watch": "1", "resourceVersion": resource_version, "timeoutSeconds": "300"}
        url = self._url(resource, namespace, "")
        with self._session().get(url, params=query, stream=True, timeout=QUIET_SECONDS) as response:
            if not response.ok:
                raise KubeError(response.status_code, response.text)
            for line in response.iter_lines(chunk_size=1):
                yield json.loads(line)

    def _ask(
        self,
        method: str,
        resource: str,
        namespace: str,
        name: str = "",
        *,
        query: Raw | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Raw:
        data = None if body is None else json.dumps(body)
        url, kind = self._url(resource, namespace, name), {"Content-Type": content_type}
        response = self._send(method, url, params=query, data=data, headers=kind)
        if not response.ok:
            raise KubeError(response.status_code, response.text)
        return dict(response.json())

    def _send(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Send a request, again as long as the API server has yet to read what it stores of that kind."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            response = self._session().request(method, url, timeout=TIMEOUT_SECONDS, **arguments)
            if response.status_code != HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                return response
            time.sleep(RETRY_SECONDS)

    def _url(self, resource: str, namespace: str, name: str) -> str:
        group = _GROUPS.get(resource, "api/v1")
        place = f"namespaces/{namespace}/" if namespace else ""
        return f"{self.server}/{group}/{place}{resource}{f'/{name}' if name else ''}"

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.trust_env = False  # a variable with certificate authorities would come first
            session.cert, session.verify = self._certificate, self._ca_file
            self._local.session = session
        found: requests.Session = self._local.session
        return found
