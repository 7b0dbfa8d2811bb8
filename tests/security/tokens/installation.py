"""Operator and API as real processes with the rights of an installation, and teams whose keys the operator issues."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from diem_operator.api.endpoint import PATH
from tests.integration.identities import API_ACCOUNT, OPERATOR_ACCOUNT, issue_kubeconfig
from tests.integration.manifests import make_apikey, make_diemjob, with_field
from tests.integration.operator_process import OperatorProcess, eventually, find_free_port, running_operator
from tests.localcluster import LocalCluster

JOB = "nightly-load"
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Team:
    """A namespace with one job and, once asked for, keys."""

    cluster: LocalCluster
    namespace: str
    url: str

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=input)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", input=json.dumps(manifest))

    def read(self, what: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", what, "--output=json")))

    def apply_job(self, name: str = JOB, **spec: object) -> None:
        self.apply(with_field(make_diemjob(**spec), ("metadata", "name"), name))

    def apply_key(self, name: str, **spec: object) -> None:
        allowed = {"actions": ["status", "start", "stop"]} | spec
        self.apply(with_field(make_apikey(**allowed), ("metadata", "name"), name))

    def issue_key(self, name: str, **spec: object) -> str:
        """Apply a key and return the token that the operator issues for it, once the API knows it."""
        self.apply_key(name, **spec)
        self.wait_for_reason(name, "Issued")
        token = self.read_token(name)
        eventually("the API knows the key", lambda: self.ask(token).status_code != requests.codes.unauthorized)
        return token

    def read_token(self, name: str) -> str:
        secret = self.read(f"secret/{self.read(f'diemapikey/{name}')['status']['secretName']}")
        return base64.b64decode(secret["data"]["token"]).decode()

    def wait_for_reason(self, name: str, reason: str) -> None:
        eventually(f"key {name} is {reason}", lambda: self._read_reason(name) == reason)

    def ask(self, token: str | None, action: str = "status", *, job_id: str = JOB) -> requests.Response:
        """Send one command as a program does."""
        headers = {} if token is None else {"x-api-key": token}
        return requests.post(self.url, json={"id": job_id, "action": action}, headers=headers, timeout=ANSWER_SECONDS)

    def _read_reason(self, name: str) -> str:
        conditions = self.read(f"diemapikey/{name}").get("status", {}).get("conditions", [])
        return conditions[0]["reason"] if conditions else ""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What runs on a cluster."""

    cluster: LocalCluster
    operator: OperatorProcess
    api_port: int
    api_log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}{PATH}"

    @contextmanager
    def team(self, **spec: Any) -> Iterator[Team]:
        """Make a namespace with a job; its deletion is asked for at the end, and not waited for."""
        team = Team(cluster=self.cluster, namespace=f"team-{uuid4().hex[:8]}", url=self.url)
        self.cluster.kubectl("create", "namespace", team.namespace)
        team.apply_job(**spec)
        yield team
        self.cluster.kubectl("delete", "namespace", team.namespace, "--wait=false")


@contextmanager
def installed(cluster: LocalCluster, directory: Path) -> Iterator[Installation]:
    """Run both processes while the block runs."""
    kubeconfigs = {
        account: issue_kubeconfig(cluster, account=account, directory=directory)
        for account in (OPERATOR_ACCOUNT, API_ACCOUNT)
    }
    with ExitStack() as stack:
        operator = stack.enter_context(running_operator(kubeconfigs[OPERATOR_ACCOUNT], directory))
        log = directory / "api.log"
        port = stack.enter_context(_running_api(kubeconfigs[API_ACCOUNT], log))
        operator.wait_leading()
        yield Installation(cluster=cluster, operator=operator, api_port=port, api_log=log)


@contextmanager
def _running_api(kubeconfig: Path, log_file: Path) -> Iterator[int]:
    port, probe_port = find_free_port(), find_free_port()
    command = [sys.executable, "-m", "diem_operator", "api", f"--kubeconfig={kubeconfig}", "--host=127.0.0.1"]
    command += [f"--port={port}", "--probe-host=127.0.0.1", f"--probe-port={probe_port}", "--drain=0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DIEM_", "KUBE"))}
    environment["DIEM_API_FAILED_KEYS_RATE"] = "0"  # each attempt is to be judged by itself
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            eventually("the API is ready", lambda: _is_ready(process, log_file, probe_port))
            yield port
        finally:
            process.terminate()
            process.wait(timeout=20)


def _is_ready(process: subprocess.Popen[bytes], log_file: Path, probe_port: int) -> bool:
    assert process.poll() is None, log_file.read_text()[-3000:]
    try:
        return requests.get(f"http://127.0.0.1:{probe_port}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False
