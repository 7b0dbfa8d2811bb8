"""A team with a namespace of its own: its jobs, its key, and a program in a pod that knows only the HTTP call."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from hack.local.waiting import wait_for
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError

ENDPOINT = "http://diem-operator-api.diem-system/etl-mgr/api/apijob"

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

# A program as it was written years ago, but for its arguments: URL, key, body, and a certificate authority if any.
CALLER = """
import ssl, sys, urllib.error, urllib.request
url, key, body, *authority = sys.argv[1:]
headers = {"x-api-key": key, "Content-Type": "application/json"}
request = urllib.request.Request(url, body.encode(), headers)
tls = ssl.create_default_context(cadata=authority[0]) if authority else None
try:
    answer = urllib.request.urlopen(request, context=tls, timeout=90)
except urllib.error.HTTPError as refusal:
    answer = refusal
print(answer.status, answer.read().decode())
"""

# Ends well when a connection to its argument stands.
CONNECTION = """
import socket, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
socket.create_connection((url.hostname, url.port or {"http": 80, "https": 443}[url.scheme]), timeout=5).close()
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body["message"])


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """The team.

    Attributes:
        image: the product's own, which is on the node; it has a Python.
        endpoint: where the program calls.
        authority: PEM of who signed the endpoint's certificate; empty for plain HTTP.
    """

    cluster: LocalCluster
    namespace: str
    image: str
    endpoint: str = ENDPOINT
    authority: str = ""

    def set_up(self) -> None:
        """Make the namespace, under the strictest pod security, with the caller's pod in it."""
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.cluster.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "caller"},
            "spec": self._build_pod_spec("import time; time.sleep(1e6)", automountServiceAccountToken=False),
        }
        self.create(pod)

    def make_key(self, name: str = "etl", **spec: object) -> str:
        """Make a DiemApiKey and return its token, once the operator has issued it."""
        allowed = {"name": name, "actions": ["status", "start", "stop"], "jobs": ["*"]}
        self.create(self._build("DiemApiKey", name, allowed | spec))
        self.kubectl("wait", "--for=condition=Ready", f"diemapikey/{name}", "--timeout=30s")
        secret = self.read(f"diemapikey/{name}", "{.status.secretName}")
        return base64.b64decode(self.read(f"secret/{secret}", "{.data.token}")).decode()

    def make_job(self, name: str, program: str, *, pod: dict[str, object] | None = None, **spec: object) -> None:
        """Make a DiemJob whose pods run a Python program."""
        template = {"spec": self._build_pod_spec(program, restartPolicy="Never") | (pod or {})}
        job = {"backoffLimit": 0, "template": template}
        self.create(self._build("DiemJob", name, {"jobTemplate": {"spec": job}} | spec))

    def call(self, token: str, **body: object) -> Answer:
        """Make the HTTP call from the caller's pod, through the Service."""
        arguments = [self.endpoint, token, json.dumps(body), *([self.authority] if self.authority else [])]
        printed = self.kubectl("exec", "caller", "--", "/opt/diem/bin/python", "-c", CALLER, *arguments)
        status, _, text = printed.partition(" ")
        return Answer(status=int(status), body=json.loads(text))

    def follow(self, token: str, job: str, *, until: str, within_seconds: float = 60.0) -> None:
        """Ask for the status until it is the wanted one."""
        seen: list[str] = []

        def is_reached() -> bool:
            seen.append(self.call(token, id=job, action="status").message)
            return seen[-1] == until

        wait_for(f"{job} is {until}; seen: {seen}", is_reached, within_seconds=within_seconds)

    def wait_for_caller(self) -> None:
        """Return when the caller's pod runs and reaches the API: a node hears of a Service's new pods a little late."""
        self.kubectl("wait", "--for=condition=Ready", "pod/caller", "--timeout=60s")
        wait_for("the caller reaches the API", self._is_reachable)

    def _is_reachable(self) -> bool:
        try:
            self.kubectl("exec", "caller", "--", "/opt/diem/bin/python", "-c", CONNECTION, self.endpoint)
        except KubectlError:
            return False
        return True

    def list_names(self, resource: str, job: str) -> list[str]:
        """Return the names of the Jobs or pods of a DiemJob."""
        selector = f"--selector=diem.io/diemjob={job}"
        return self.kubectl("get", resource, selector, "--output=jsonpath={.items[*].metadata.name}").split()

    def read(self, what: str, path: str) -> str:
        return self.kubectl("get", what, f"--output=jsonpath={path}")

    def read_logs(self, job: str) -> str:
        try:
            return self.kubectl("logs", f"--selector=diem.io/diemjob={job}", "--tail=-1")
        except KubectlError:
            return ""

    def create(self, manifest: dict[str, Any]) -> None:
        self.kubectl("create", "--filename=-", input=json.dumps(manifest))

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, input=input)

    def _build(self, kind: str, name: str, spec: dict[str, object]) -> dict[str, Any]:
        return {"apiVersion": "diem.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    def _build_pod_spec(self, program: str, **fields: object) -> dict[str, object]:
        container = {
            "name": "main",
            "image": self.image,
            "command": ["/opt/diem/bin/python", "-u", "-c", program],
            "securityContext": CONTAINER_SECURITY,
        }
        return {
            "terminationGracePeriodSeconds": 1,
            "securityContext": POD_SECURITY,
            "containers": [container],
            **fields,
        }
