"""What a tenant's Job has to attack with: the token that Kubernetes gives its pods, and what callers may tell it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.identities import SYSTEM_NAMESPACE
from tests.integration.operator_process import eventually
from tests.localcluster.errors import KubectlError
from tests.localcluster.kubeconfig import write_token_kubeconfig
from tests.security.fuzz.expansion import read_environment
from tests.security.fuzz.strategies import MARK
from tests.security.tokens.forging import Loot
from tests.security.tokens.installation import JOB, Installation, Team
from tests.security.tokens.wire import WireAnswer, ask_with

OWN_REVIEWS = {
    f"create {group}/{resource}"
    for group, resources in {
        "authorization.k8s.io": ("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        "authentication.k8s.io": ("selfsubjectreviews",),
    }.items()
    for resource in resources
}
PUBLIC_PATHS = {
    f"get {path}"
    for path in (
        "/api",
        "/apis",
        "/openapi",
        "/version",
        "/healthz",
        "/livez",
        "/readyz",
        "/.well-known/openid-configuration",
        "/openid/v1/jwks",
    )
}
"""What Kubernetes lets every ServiceAccount read; what is below these paths is meant too."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """Somebody inside a pod of a tenant's Job, who has found the token there."""

    team: Team
    token: str = field(repr=False)
    kubeconfig: Path

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        here = f"--namespace={self.team.namespace}"
        return self.team.cluster.kubectl(here, *arguments, input=input, kubeconfig=self.kubeconfig)

    def read_rights(self, namespace: str) -> list[str]:
        """Return what the API server itself says that this token may do."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        command = ("create", "--validate=false", "--filename=-", "--output=json")
        status = json.loads(self.kubectl(*command, input=json.dumps(review)))["status"]
        assert not status["incomplete"]
        rules = [*status["resourceRules"], *status["nonResourceRules"]]
        return sorted({right for rule in rules for right in spell(rule)})


def spell(rule: dict[str, Any]) -> Iterator[str]:
    groups = [f"{group}/" if group else "" for group in rule.get("apiGroups", [""])]
    for verb in rule["verbs"]:
        for thing in rule.get("resources", rule.get("nonResourceURLs", [])):
            yield from (f"{verb} {group}{thing}" for group in groups)


@pytest.fixture(scope="module")
def pod(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Pod:
    token = team.kubectl("create", "token", "default").strip()
    kubeconfig = write_token_kubeconfig(
        tmp_path_factory.mktemp("pod") / "kubeconfig",
        server=team.cluster.server,
        ca_file=team.cluster.ca_file,
        token=token,
        namespace=team.namespace,
    )
    return Pod(team=team, token=token, kubeconfig=kubeconfig)


def test_token_of_a_pod_may_do_nothing_with_what_is_ours(
    pod: Pod, rivals: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = OWN_REVIEWS | PUBLIC_PATHS
    for namespace in (pod.team.namespace, rivals.namespace, SYSTEM_NAMESPACE):
        rights = pod.read_rights(namespace)
        with capsys.disabled():
            print(f"\nIn {namespace} the token of a Job's pod may:", *rights, sep="\n  ")

        assert [right for right in rights if right.rstrip("/*") not in allowed] == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("get", "diemjobs"), id="read-diemjobs"),
        pytest.param(("get", "diemapikeys"), id="read-keys"),
        pytest.param(("get", "secrets"), id="read-secrets"),
        pytest.param(("get", "jobs"), id="read-jobs"),
        pytest.param(("patch", "diemjob", JOB, "--type=merge", '-p={"spec":{"state":"running"}}'), id="start"),
        pytest.param(
            ("patch", "diemjob", JOB, "--subresource=status", "--type=merge", '-p={"status":{"phase":"Completed"}}'),
            id="lie-about-its-end",
        ),
        pytest.param(("create", "job", "mine", "--image=x"), id="make-a-job"),
        pytest.param(("create", "token", "default"), id="a-longer-token"),
        pytest.param(("create", "token", "diem-operator", f"--namespace={SYSTEM_NAMESPACE}"), id="operators-token"),
        pytest.param(("create", "token", "diem-operator-api", f"--namespace={SYSTEM_NAMESPACE}"), id="apis-token"),
        pytest.param(("get", "secret", "diem-operator-signing", f"--namespace={SYSTEM_NAMESPACE}"), id="signing"),
        pytest.param(("get", "lease", "diem-operator", f"--namespace={SYSTEM_NAMESPACE}"), id="lease"),
        pytest.param(("get", "pods", "--as=system:admin", "--as-group=system:masters"), id="be-somebody-else"),
        pytest.param(("get", "diemjobs", f"--as=system:serviceaccount:{SYSTEM_NAMESPACE}:diem-operator"), id="be-us"),
    ],
)
def test_token_of_a_pod_opens_no_door(pod: Pod, command: tuple[str, ...]) -> None:
    with pytest.raises(KubectlError, match="orbidden"):
        pod.kubectl(*command)


def test_token_of_a_pod_is_no_key(installation: Installation, pod: Pod, refusal: WireAnswer) -> None:
    for line in (f"x-api-key: {pod.token}", f"Authorization: Bearer {pod.token}"):
        assert ask_with(installation.api_port, line.encode()) == refusal


def test_token_for_another_audience_is_nobody_to_kubernetes(pod: Pod, tmp_path: Path) -> None:
    token = pod.team.kubectl("create", "token", "default", "--audience=https://diem.example.com").strip()
    cluster = pod.team.cluster
    answers = [
        requests.get(
            f"{cluster.server}/apis/diem.io/v1/diemjobs",
            headers={"Authorization": f"Bearer {one}"},
            verify=str(cluster.ca_file),
            timeout=10,
        ).status_code
        for one in (token, pod.token)
    ]

    assert answers == [401, 403]


HOSTILE = {
    "reference": "$(SECRET)",
    "reference-that-is-escaped": "$$(SECRET)",
    "reference-to-itself": "$(VALUE)",
    "reference-that-is-built": "$(SEC$(RET))",
    "reference-of-a-service": "$(KUBERNETES_SERVICE_HOST)",
    "dollars": "$ $$ $$$ $$$$",
    "shell": "$(id) `id` ${PATH} ; rm -rf / #",
    "lines": "one\ntwo\r\nthree\x0bfour\u2028five",
    "looks-like-yaml": "}\n- {name: LD_PRELOAD, value: /tmp/evil.so}",
    "quotes": "'\"\\'",
    "not-ascii": "\u202e\U0001f600 e\u0301 \ufeff",
    "controls": "\x01\x1b[2J\x7f",
    "empty": "",
    "as-large-as-allowed": "$" * 4096,
}


@pytest.fixture(scope="module")
def runs(installation: Installation) -> Iterator[Team]:
    """A team whose job has a variable that is not for callers, before and after which a parameter could stand."""
    container: dict[str, Any] = {"name": "main", "image": "localhost/busybox:1", "args": ["$(VALUE)"]}
    container["env"] = [{"name": "SECRET", "value": "of the template"}, {"name": "GREETING", "value": "<$(VALUE)>"}]
    pod = {"restartPolicy": "Never", "containers": [container], "initContainers": [container | {"name": "first"}]}
    template = {"spec": {"template": {"spec": pod}}}
    with installation.team(parameters=[{"name": "VALUE"}], jobTemplate=template) as team:
        yield team


@pytest.fixture(scope="module")
def runs_token(runs: Team) -> str:
    return runs.issue_key("caller")


def start(team: Team, token: str, **parameters: str) -> requests.Response:
    body = {"id": JOB, "action": "start", "parameters": parameters}
    return requests.post(team.url, json=body, headers={"x-api-key": token}, timeout=10)


def read_job_of(team: Team, run_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        jobs = json.loads(team.kubectl("get", "jobs", "--output=json"))["items"]
        found[:] = [job for job in jobs if job["metadata"]["annotations"]["diem.io/run-id"] == run_id]
        return bool(found)

    eventually("the Job is there", is_there)
    return found[0]


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in HOSTILE.items()])
def test_value_arrives_in_every_container_as_it_was_given(runs: Team, runs_token: str, value: str) -> None:
    runs.ask(runs_token, "stop")
    eventually("the last run is over", lambda: runs.ask(runs_token).json()["status"] in {"Stopped", "Failed"})
    answer = start(runs, runs_token, VALUE=value)
    assert answer.json()["message"] == "job started"

    pod = read_job_of(runs, answer.json()["run"]["id"])["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod["initContainers"]):
        names = [variable["name"] for variable in container["env"]]
        environment = read_environment(container["env"])

        assert names == ["VALUE", "SECRET", "GREETING"]
        assert environment == {"VALUE": value, "SECRET": "of the template", "GREETING": f"<{value}>"}


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"VALUE": f"{MARK}\0b"}, id="NUL"),
        pytest.param({"VALUE": MARK.ljust(4097, "x")}, id="a-byte-too-large"),
        pytest.param({"VALUE": MARK + "\u00e9" * ((4098 - len(MARK)) // 2)}, id="too-large-in-UTF-8"),
        *(
            pytest.param({name: MARK}, id=f"name-{number}")
            for number, name in enumerate(
                (
                    "PATH",
                    "LD_PRELOAD",
                    "BASH_ENV",
                    "PYTHONPATH",
                    "SECRET",
                    "value",
                    "",
                    "VALUE\n",
                    "VALUE=x",
                    "$(VALUE)",
                )
            )
        ),
    ],
)
def test_what_may_not_be_told_changes_nothing(runs: Team, runs_token: str, parameters: dict[str, str]) -> None:
    runs.ask(runs_token, "stop")
    eventually("the last run is over", lambda: runs.ask(runs_token).json()["status"] in {"Stopped", "Failed"})
    before = runs.read(f"diemjob/{JOB}")["spec"]
    answer = start(runs, runs_token, **parameters)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-parameters")
    assert MARK not in answer.text
    assert runs.read(f"diemjob/{JOB}")["spec"] == before


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PYTHONSTARTUP", "lower", "A-B"])
def test_names_that_choose_the_code_that_runs_cannot_be_declared(runs: Team, name: str) -> None:
    with pytest.raises(KubectlError, match=r"invalid|Invalid"):
        runs.apply_job("another", parameters=[{"name": name}])


def test_loot_is_nowhere_in_a_job(runs: Team, runs_token: str, loot: Loot) -> None:
    stored = runs.kubectl("get", "jobs,diemjobs,events", "--output=json")

    assert json.loads(stored)["items"]
    for text in (runs_token, loot.token):
        assert text not in stored
