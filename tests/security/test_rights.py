"""What each identity of an installation may do, as the API server itself answers, and what a stolen API token opens."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.local.installation import MANIFESTS
from tests.builders import make_template
from tests.integration.conftest import apply_crds
from tests.integration.operator_process import eventually
from tests.localcluster import LocalCluster, NodeKind
from tests.localcluster.errors import KubectlError

OWN = "diem-system"
SERVED = "team-a"
OTHER = "team-b"
OPERATOR = f"system:serviceaccount:{OWN}:diem-operator"
API = f"system:serviceaccount:{OWN}:diem-operator-api"
NOBODY = f"system:serviceaccount:{OTHER}:default"

Rights = set[str]

OPERATOR_WHERE_IT_SERVES = {
    *(f"{verb} diem.io/diemjobs" for verb in ("get", "list", "watch", "patch")),
    *(f"{verb} diem.io/diemapikeys" for verb in ("get", "list", "watch")),
    *(f"patch diem.io/{resource}/status" for resource in ("diemjobs", "diemapikeys")),
    *(f"update diem.io/{resource}/finalizers" for resource in ("diemjobs", "diemapikeys")),
    *(f"{verb} batch/jobs" for verb in ("get", "list", "watch", "create", "delete")),
    "list pods",
    "create events",
    "list events",
    "create secrets",
}
OPERATOR_AT_HOME = {
    "create coordination.k8s.io/leases",
    "get coordination.k8s.io/leases:diem-operator",
    "update coordination.k8s.io/leases:diem-operator",
    "get secrets:diem-operator-signing",
    "patch secrets:diem-operator-signing",
    "create serviceaccounts/token:diem-operator-api",
}
API_WHERE_IT_SERVES = {
    *(f"{verb} diem.io/diemjobs" for verb in ("get", "list", "watch", "patch")),
    *(f"{verb} diem.io/diemapikeys" for verb in ("get", "list", "watch")),
}


@pytest.fixture(scope="module")
def bare() -> Iterator[LocalCluster]:
    """A cluster with our resources and three namespaces, where nobody has been given any right."""
    with LocalCluster.start(NodeKind.NONE) as cluster:
        apply_crds(cluster)
        for namespace in (SERVED, OTHER):
            cluster.kubectl("create", "namespace", namespace)
        yield cluster


@pytest.fixture(scope="module", params=["cluster", "namespaced"])
def installed(bare: LocalCluster, request: pytest.FixtureRequest) -> Iterator[tuple[LocalCluster, str]]:
    """Install each of the overlays as a person does, and remove it."""
    overlay = str(MANIFESTS / "overlays" / request.param)
    bare.kubectl("apply", "--server-side", "--force-conflicts", "--kustomize", overlay)
    yield bare, request.param
    kept = ("CustomResourceDefinition", "Namespace")
    objects = [one for one in build_overlay(bare, overlay) if one["kind"] not in kept]
    manifest_list = {"apiVersion": "v1", "kind": "List", "items": objects}
    bare.kubectl("delete", "--wait=false", "--filename=-", input=json.dumps(manifest_list))


def build_overlay(cluster: LocalCluster, overlay: str) -> list[dict[str, Any]]:
    printed = cluster.kubectl("apply", "--kustomize", overlay, "--dry-run=client", "--output=json")
    return list(json.loads(printed)["items"])


def read_rights(cluster: LocalCluster, user: str, namespace: str) -> Rights:
    """Return what a user may do in a namespace beyond what every ServiceAccount may, as `verb group/resource:name`."""
    return _review(cluster, user, namespace) - _review(cluster, NOBODY, namespace)


def _review(cluster: LocalCluster, user: str, namespace: str) -> Rights:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}", "system:authenticated")
    acting = [f"--as={user}", *(f"--as-group={group}" for group in groups)]
    printed = cluster.kubectl(
        *acting, "create", "--validate=false", "--filename=-", "--output=json", input=json.dumps(review)
    )
    status = json.loads(printed)["status"]
    assert not status["incomplete"]
    resources = {right for rule in status["resourceRules"] for right in _spell(rule)}
    return resources | {
        f"{verb} {url}"
        for rule in status["nonResourceRules"]
        for verb in rule["verbs"]
        for url in rule["nonResourceURLs"]
    }


def _spell(rule: dict[str, Any]) -> Iterator[str]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or [""]:
                    yield f"{verb} {group}{'/' if group else ''}{resource}{':' if name else ''}{name}"


def test_operator_may_do_exactly_what_it_does(installed: tuple[LocalCluster, str]) -> None:
    cluster, kind = installed
    everywhere = OPERATOR_WHERE_IT_SERVES if kind == "cluster" else set()

    assert read_rights(cluster, OPERATOR, SERVED) == OPERATOR_WHERE_IT_SERVES
    assert read_rights(cluster, OPERATOR, OTHER) == everywhere
    assert read_rights(cluster, OPERATOR, OWN) == everywhere | OPERATOR_AT_HOME


def test_api_may_do_exactly_what_it_does(
    installed: tuple[LocalCluster, str], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, kind = installed
    elsewhere = API_WHERE_IT_SERVES if kind == "cluster" else set()
    rights = read_rights(cluster, API, SERVED)
    with capsys.disabled():
        print(f"\nWhere it serves, the token of the API may ({kind}):", *sorted(rights), sep="\n  ")

    assert rights == API_WHERE_IT_SERVES
    assert read_rights(cluster, API, OTHER) == elsewhere
    assert read_rights(cluster, API, OWN) == elsewhere


@pytest.mark.parametrize("user", [OPERATOR, API])
@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_nobody_reads_secrets_of_tenants(installed: tuple[LocalCluster, str], user: str, verb: str) -> None:
    cluster, _ = installed
    question = ("auth", "can-i", verb, "secrets", f"--as={user}")

    for namespace in (SERVED, OTHER, OWN):
        with pytest.raises(KubectlError):
            cluster.kubectl(*question, f"--namespace={namespace}")


def test_namespaced_installation_has_no_cluster_role_for_its_identities(installed: tuple[LocalCluster, str]) -> None:
    cluster, kind = installed
    bindings = json.loads(cluster.kubectl("get", "clusterrolebindings", "--output=json"))["items"]
    bound = {
        subject["name"] for one in bindings for subject in one.get("subjects", []) if subject.get("namespace") == OWN
    }

    assert bound == ({"diem-operator", "diem-operator-api"} if kind == "cluster" else set())


@pytest.mark.parametrize(
    ("role", "resource", "verb", "is_allowed"),
    [
        pytest.param("view", "diemjobs", "list", True, id="view-reads-jobs"),
        pytest.param("view", "diemjobs", "patch", False, id="view-changes-no-jobs"),
        pytest.param("view", "diemapikeys", "get", False, id="view-sees-no-keys"),
        pytest.param("edit", "diemjobs", "create", True, id="edit-makes-jobs"),
        pytest.param("edit", "diemjobs/status", "patch", False, id="edit-writes-no-facts"),
        pytest.param("edit", "diemapikeys", "get", False, id="edit-sees-no-keys"),
        pytest.param("edit", "diemapikeys", "create", False, id="edit-makes-no-keys"),
        pytest.param("admin", "diemapikeys", "create", True, id="admin-makes-keys"),
        pytest.param("admin", "diemapikeys/status", "patch", False, id="admin-writes-no-facts"),
    ],
)
def test_usual_roles_know_our_resources(
    installed: tuple[LocalCluster, str], role: str, resource: str, verb: str, is_allowed: bool
) -> None:
    cluster, _ = installed
    readable = "list diem.io/diemjobs"
    eventually("the usual roles are put together", lambda: readable in read_cluster_role(cluster, "view"))

    assert (f"{verb} diem.io/{resource}" in read_cluster_role(cluster, role)) is is_allowed


def read_cluster_role(cluster: LocalCluster, name: str) -> Rights:
    role = json.loads(cluster.kubectl("get", "clusterrole", name, "--output=json"))
    return {right for rule in role["rules"] for right in _spell(rule) if "resources" in rule}


class Thief:
    """Somebody with a token of the API's ServiceAccount, and one DiemJob to lay hands on."""

    def __init__(self, cluster: LocalCluster, kubeconfig: Path, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._kubeconfig = kubeconfig

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        return self.cluster.kubectl(f"--namespace={SERVED}", *arguments, input=input, kubeconfig=self._kubeconfig)

    def patch(self, patch: object, *, kind: str = "merge", flags: tuple[str, ...] = ()) -> str:
        return self.kubectl("patch", "diemjob", self.name, f"--type={kind}", *flags, f"--patch={json.dumps(patch)}")

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", "diemjob", self.name, "--output=json")))


def make_key(name: str) -> dict[str, Any]:
    spec = {"name": "somebody", "actions": ["status"], "jobs": ["*"]}
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemApiKey",
        "metadata": {"name": name, "namespace": SERVED},
        "spec": spec,
    }


@pytest.fixture
def thief(installed: tuple[LocalCluster, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Thief]:
    cluster, _ = installed
    manifest = {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {
            "name": "nightly",
            "namespace": SERVED,
            "labels": {"team": "a"},
            "finalizers": ["example.com/hold"],
        },
        "spec": {"jobTemplate": make_template(), "parameters": [{"name": "REGION"}], "aliases": ["old"]},
    }
    cluster.kubectl("create", "--filename=-", input=json.dumps(manifest))
    cluster.kubectl("create", "--filename=-", input=json.dumps(make_key("theirs")))
    kubeconfig = cluster.service_account_kubeconfig(namespace=OWN, name="diem-operator-api", directory=tmp_path)
    yield Thief(cluster, kubeconfig, "nightly")
    cluster.kubectl(
        "patch",
        "diemjob",
        "nightly",
        f"--namespace={SERVED}",
        "--type=merge",
        '--patch={"metadata":{"finalizers":null}}',
    )
    cluster.kubectl("delete", "diemjob/nightly", "diemapikey/theirs", f"--namespace={SERVED}")


def test_api_may_ask_for_runs(thief: Thief) -> None:
    request = {"id": "1", "action": "start", "by": "apikey/x", "at": "2030-01-01T00:00:00Z"}
    thief.patch({"spec": {"state": "running", "run": {"id": "1"}, "requests": [request]}})
    thief.patch([{"op": "replace", "path": "/spec/run", "value": {"id": "2"}}], kind="json")
    thief.patch({"spec": {"state": None, "run": None, "requests": None}})

    assert thief.read()["spec"].keys() == {"jobTemplate", "parameters", "aliases", "runHistoryLimit", "jobHistoryLimit"}


CHANGES: dict[str, object] = {
    "the-template": {"spec": {"jobTemplate": {"spec": {"backoffLimit": 1}}}},
    "an-image": {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}}}},
    "parameters": {"spec": {"parameters": []}},
    "aliases": {"spec": {"aliases": ["stolen"]}},
    "aliases-removed": {"spec": {"aliases": None}},
    "a-new-field": {"spec": {"startDeadlineSeconds": 1}},
    "a-limit": {"spec": {"jobHistoryLimit": 0}},
    "schedule": {"spec": {"schedule": {"cron": "* * * * *"}}},
    "beside-what-is-allowed": {"spec": {"state": "running", "ttlSecondsAfterFinished": 1}},
    "a-label": {"metadata": {"labels": {"team": "b"}}},
    "a-new-label": {"metadata": {"labels": {"new": "one"}}},
    "all-labels": {"metadata": {"labels": None}},
    "an-annotation": {"metadata": {"annotations": {"diem.io/recorded-uid": "x"}}},
    "an-owner": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "y"}]}},
    "a-finalizer": {"metadata": {"finalizers": []}},
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
def test_stolen_api_token_changes_nothing_else_of_a_job(thief: Thief, change: dict[str, Any]) -> None:
    before = thief.read()

    with pytest.raises(KubectlError, match="the DIEM API may"):
        thief.patch(change)

    assert thief.read() == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("get", "secrets"), id="read-secrets"),
        pytest.param(("get", "pods"), id="read-pods"),
        pytest.param(("get", "jobs"), id="read-jobs"),
        pytest.param(("create", "job", "mine", "--image=x"), id="make-a-job"),
        pytest.param(("delete", "diemjob", "nightly", "--wait=false"), id="delete-a-diemjob"),
        pytest.param(
            (
                "patch",
                "diemjob",
                "nightly",
                "--subresource=status",
                "--type=merge",
                '-p={"status":{"phase":"Completed"}}',
            ),
            id="write-status",
        ),
        pytest.param(("create", "token", "diem-operator", f"--namespace={OWN}"), id="token-of-the-operator"),
        pytest.param(("create", "token", "diem-operator-api", f"--namespace={OWN}"), id="a-longer-token-of-its-own"),
        pytest.param(("get", "secret", "diem-operator-signing", f"--namespace={OWN}"), id="signing-secret"),
        pytest.param(("get", "lease", "diem-operator", f"--namespace={OWN}"), id="lease"),
        pytest.param(
            ("patch", "diemapikey", "theirs", "--type=merge", '-p={"spec":{"revoked":false}}'), id="change-a-key"
        ),
        pytest.param(("delete", "validatingadmissionpolicy", "diem-operator-api.diem-system"), id="lift-the-policy"),
    ],
)
def test_stolen_api_token_opens_no_other_door(thief: Thief, command: tuple[str, ...]) -> None:
    with pytest.raises(KubectlError, match=r"Forbidden|forbidden"):
        thief.kubectl(*command)


@pytest.mark.parametrize("command", [("create",), ("apply", "--server-side")], ids=["create", "server-side-apply"])
@pytest.mark.parametrize("kind", ["DiemJob", "DiemApiKey"])
def test_stolen_api_token_creates_nothing(thief: Thief, kind: str, command: tuple[str, ...]) -> None:
    diemjob = {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {"name": "mine"},
        "spec": {"jobTemplate": make_template()},
    }
    manifest = diemjob if kind == "DiemJob" else make_key("mine")

    with pytest.raises(KubectlError, match="orbidden"):
        thief.kubectl(*command, "--validate=false", "--filename=-", input=json.dumps(manifest))


def test_policy_holds_for_fields_that_a_later_release_adds(thief: Thief) -> None:
    path = Path(MANIFESTS).parent / "crds" / "diemjob.yaml"
    crd = json.loads(thief.cluster.kubectl("create", "--dry-run=client", "--output=json", f"--filename={path}"))
    later = copy.deepcopy(crd)
    later["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["later"] = {
        "type": "string"
    }
    thief.cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(later))
    try:
        eventually("the new field is served", lambda: "later" in thief.cluster.kubectl("explain", "diemjob.spec"))
        with pytest.raises(KubectlError, match="the DIEM API may"):
            thief.patch({"spec": {"later": "x"}})
    finally:
        thief.cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(crd))


def test_policy_lets_everybody_else_be(thief: Thief) -> None:
    thief.cluster.kubectl("label", "diemjob", "nightly", f"--namespace={SERVED}", "team=b", "--overwrite")

    assert thief.read()["metadata"]["labels"] == {"team": "b"}


def test_policy_was_checked_without_a_warning(installed: tuple[LocalCluster, str]) -> None:
    cluster, _ = installed

    def read_status() -> dict[str, Any]:
        policy = cluster.kubectl("get", "validatingadmissionpolicy", "diem-operator-api.diem-system", "--output=json")
        return dict(json.loads(policy).get("status", {}))

    eventually("the policy has been looked at", lambda: "observedGeneration" in read_status())
    assert read_status().get("typeChecking", {}) == {}
