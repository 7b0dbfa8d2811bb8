"""The API as a real process, with the rights of an installation, in front of a real API server; and two teams."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from diem_operator.access.tokens import hash_token
from tests.integration.identities import API_ACCOUNT, SYSTEM_NAMESPACE
from tests.integration.manifests import make_apikey, make_diemjob, with_field
from tests.integration.operator_process import eventually, find_free_port, find_sample
from tests.localcluster import LocalCluster
from tests.localcluster.audit import read_whole_lines
from tests.security.http.wire import WireAnswer, ask, build_request, command

JOB = "nightly-load"
API_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{API_ACCOUNT}"


@dataclass(frozen=True, kw_only=True)
class AttackedApi:
    """A process of the API.

    Attributes:
        tokens: all that were ever shown to it; none may stand in the log.
    """

    cluster: LocalCluster
    process: subprocess.Popen[bytes]
    port: int
    probe_port: int
    log_file: Path
    tokens: set[str] = field(default_factory=set)

    def read_log(self, *, since: int = 0) -> list[str]:
        return self.log_file.read_bytes()[since:].decode().splitlines()

    def read_metric(self, sample: str) -> float:
        """Return a sample of /metrics, given with its labels as they are shown there."""
        text = requests.get(f"http://127.0.0.1:{self.probe_port}/metrics", timeout=10).text
        value = find_sample(text, sample)
        assert value is not None, sample
        return value

    def read_specs(self) -> dict[str, Any]:
        """Return the spec of every DiemJob of every team."""
        items = json.loads(self.cluster.kubectl("get", "diemjobs", "--all-namespaces", "--output=json"))["items"]
        return {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["spec"] for item in items}

    def mark_audit(self) -> int:
        assert self.cluster.audit_log is not None
        return self.cluster.audit_log.stat().st_size

    def read_requests(self, *, since: int) -> list[tuple[str, str]]:
        """Return verb and path of what the API has asked the API server for, less its watches."""
        assert self.cluster.audit_log is not None
        entries = [json.loads(line) for line in read_whole_lines(self.cluster.audit_log, since=since)]
        return [
            (entry["verb"], entry["requestURI"])
            for entry in entries
            if entry["user"]["username"] == API_USER
            and entry["stage"] == "ResponseComplete"
            and entry["verb"] not in {"watch", "list"}
        ]


@dataclass(frozen=True, kw_only=True)
class Team:
    """A namespace with a job, and a key that may do everything there."""

    api: AttackedApi
    namespace: str
    token: str = field(default_factory=secrets.token_urlsafe)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        return self.api.cluster.kubectl("--namespace", self.namespace, *arguments, input=input)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", input=json.dumps(manifest))

    def is_answered(self, status: int, *, job_id: str = JOB, token: str = "") -> bool:
        """Whether a request for the status is answered with this HTTP status."""
        return self.ask("status", job_id=job_id, token=token or self.token).status == status

    def apply_job(self, name: str = JOB, **spec: object) -> None:
        """Make a DiemJob and return when the API knows it."""
        self.apply(with_field(make_diemjob(**spec), ("metadata", "name"), name))
        eventually("the API knows the job", lambda: self.ask("status", job_id=name).status == requests.codes.ok)

    def add_key(self, name: str | None = None, token: str | None = None, **spec: object) -> str:
        """Make a key as the operator leaves it, and return its token once the API knows it."""
        key = name or f"key-{secrets.token_hex(4)}"
        value = token or secrets.token_urlsafe()
        self.api.tokens.add(value)
        allowed = {"actions": ["status", "start", "stop"]} | spec
        self.apply(with_field(make_apikey(**allowed), ("metadata", "name"), key))
        uid = json.loads(self.kubectl("get", "diemapikey", key, "--output=json"))["metadata"]["uid"]
        status = {"keyId": uid, "tokenSHA256": hash_token(value), "secretName": f"{key}-secret"}
        patch = json.dumps({"status": status})
        self.kubectl("patch", "diemapikey", key, "--subresource=status", "--type=merge", f"--patch={patch}")
        eventually("the API knows the key", lambda: self.ask("status", token=value).status != 401)
        return value

    def ask(
        self, action: str, *lines: bytes, job_id: str = JOB, token: str | None = None, body: bytes | None = None
    ) -> WireAnswer:
        given = command(action, job_id) if body is None else body
        return ask(self.api.port, build_request(self.token if token is None else token, given, *lines))

    def read_run(self, job: str = JOB) -> dict[str, Any] | None:
        spec = json.loads(self.kubectl("get", "diemjob", job, "--output=json"))["spec"]
        run: dict[str, Any] | None = spec.get("run")
        return run


@contextmanager
def attacked_api(cluster: LocalCluster, kubeconfig: Path, directory: Path, *arguments: str) -> Iterator[AttackedApi]:
    """Run the API while the block runs; it must have lived until then."""
    log_file = directory / f"api-{secrets.token_hex(4)}.log"
    port, probe_port = find_free_port(), find_free_port()
    command_line = [sys.executable, "-m", "diem_operator", "api", f"--kubeconfig={kubeconfig}", "--host=127.0.0.1"]
    command_line += [f"--port={port}", "--probe-host=127.0.0.1", f"--probe-port={probe_port}", "--drain=0"]
    command_line += ["--log-level=debug", "--log-format=json", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DIEM_", "KUBE"))}
    with log_file.open("wb") as log:
        process = subprocess.Popen(command_line, stdout=log, stderr=log, env=environment, start_new_session=True)
        api = AttackedApi(cluster=cluster, process=process, port=port, probe_port=probe_port, log_file=log_file)
        try:
            eventually("the API is ready", lambda: _is_ready(api))
            yield api
            assert process.poll() is None, "the process ended under attack"
        finally:
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def new_team(api: AttackedApi, *, namespace: str = "", **spec: Any) -> Iterator[Team]:
    """Make a namespace with a job and a key; its deletion is asked for at the end, and not waited for."""
    team = Team(api=api, namespace=namespace or f"team-{secrets.token_hex(4)}")
    api.cluster.kubectl("create", "namespace", team.namespace)
    team.add_key("caller", team.token)
    team.apply_job(**spec)
    yield team
    api.cluster.kubectl("delete", "namespace", team.namespace, "--wait=false")


def _is_ready(api: AttackedApi) -> bool:
    assert api.process.poll() is None, api.log_file.read_text()[-3000:]
    try:
        return requests.get(f"http://127.0.0.1:{api.probe_port}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False
