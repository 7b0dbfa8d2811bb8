"""The CustomResourceDefinitions themselves: how they are applied, and what kubectl tells of them."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hack import generate_crds
from tests.integration.conftest import CRDS
from tests.integration.manifests import POD, make_diemjob, with_field
from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster, NodeKind
from tests.localcluster.errors import KubectlError

PUBLISHING_SECONDS = 30.0


@pytest.fixture(scope="module")
def empty_cluster() -> Iterator[LocalCluster]:
    with LocalCluster.start(node=NodeKind.NONE, controllers=False) as cluster:
        yield cluster


def delete_crds(cluster: LocalCluster) -> None:
    cluster.kubectl("delete", "--ignore-not-found", "--wait", "--filename", str(CRDS))


@pytest.mark.parametrize("flags", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_applying_to_an_empty_cluster_creates_and_applying_again_changes_nothing(
    empty_cluster: LocalCluster, flags: tuple[str, ...]
) -> None:
    delete_crds(empty_cluster)

    empty_cluster.kubectl("apply", *flags, "--filename", str(CRDS))
    generations = find_generations(empty_cluster)
    empty_cluster.kubectl("apply", *flags, "--filename", str(CRDS))

    assert generations == find_generations(empty_cluster) == {"diemapikeys.diem.io": 1, "diemjobs.diem.io": 1}


@pytest.mark.parametrize("first_is_client_side", [True, False], ids=["client first", "server first"])
def test_client_side_and_server_side_apply_follow_each_other(
    empty_cluster: LocalCluster, first_is_client_side: bool
) -> None:
    delete_crds(empty_cluster)
    ways: list[tuple[str, ...]] = [(), ("--server-side", "--force-conflicts")]

    for flags in (ways if first_is_client_side else ways[::-1]) * 2:
        empty_cluster.kubectl("apply", *flags, "--filename", str(CRDS))

    assert find_generations(empty_cluster) == {"diemapikeys.diem.io": 1, "diemjobs.diem.io": 1}


def find_generations(cluster: LocalCluster) -> dict[str, int]:
    """Return the generation of every CustomResourceDefinition; it counts changes of what was asked for."""
    listing = json.loads(cluster.kubectl("get", "crds", "--output", "json"))
    return {crd["metadata"]["name"]: crd["metadata"]["generation"] for crd in listing["items"]}


@pytest.mark.parametrize("has_second_owner", [False, True])
def test_template_of_an_older_definition_is_applied_on(
    empty_cluster: LocalCluster, tmp_path: Path, has_second_owner: bool
) -> None:
    """Templates were merged field by field once; who owned one field of it then owns all of it, with the others."""
    delete_crds(empty_cluster)
    older = yaml.safe_load((CRDS / "diemjob.yaml").read_text(encoding="utf-8"))
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del schema["spec"]["properties"]["jobTemplate"]["x-kubernetes-map-type"]
    (tmp_path / "older.yaml").write_text(yaml.safe_dump(older), encoding="utf-8")
    empty_cluster.kubectl("create", "--filename", str(tmp_path / "older.yaml"))
    empty_cluster.kubectl("wait", "--for=create", "crd/diemjobs.diem.io")
    empty_cluster.kubectl("wait", "--for=jsonpath={.status.acceptedNames.kind}=DiemJob", "crd/diemjobs.diem.io")
    empty_cluster.kubectl("wait", "--for=condition=Established", "crd/diemjobs.diem.io")
    here = Namespaced(cluster=empty_cluster, name="default")
    here.apply(make_diemjob(), "--server-side", "--field-manager=gitops")
    if has_second_owner:
        limit = {"spec": {"jobTemplate": {"spec": {"activeDeadlineSeconds": 60}}}}
        here.kubectl("patch", "diemjob/nightly-load", "--type=merge", "--patch", json.dumps(limit))

    empty_cluster.kubectl("replace", "--filename", str(CRDS / "diemjob.yaml"))
    applied = with_field(make_diemjob(), (*POD, "containers", 0, "image"), "localhost/busybox:2")
    flags = ["--server-side", "--field-manager=gitops", *(["--force-conflicts"] if has_second_owner else [])]
    stored = here.apply(applied, *flags)

    assert stored["spec"]["jobTemplate"] == applied["spec"]["jobTemplate"]


def test_definitions_are_established_and_nothing_is_wrong_with_them(cluster: LocalCluster) -> None:
    listing = json.loads(cluster.kubectl("get", "--filename", str(CRDS), "--output", "json"))

    conditions = {
        crd["metadata"]["name"]: {entry["type"]: entry["status"] for entry in crd["status"]["conditions"]}
        for crd in listing["items"]
    }
    fine = {"NamesAccepted": "True", "Established": "True"}
    assert conditions == {"diemapikeys.diem.io": fine, "diemjobs.diem.io": fine}


def test_schema_of_jobs_is_that_of_this_api_server(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(cluster.kubectl_path.parent), prepend=os.pathsep)

    status = generate_crds.main(["--check", "--kubeconfig", str(cluster.admin_kubeconfig)])

    assert (status, capsys.readouterr().out) == (0, ""), "run `python -m hack.generate_crds --refresh`"


@pytest.fixture(scope="module")
def explaining_cluster(cluster: LocalCluster) -> LocalCluster:
    """The API server when it has published the schemas, which it does some time after it serves the resources."""
    deadline = time.monotonic() + PUBLISHING_SECONDS
    while True:
        try:
            for kind in ("diemjob", "diemapikey"):
                cluster.kubectl("explain", kind)
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return cluster


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("diemjob.spec.state", "The desired state.", id="our field"),
        pytest.param("diemjob.spec.jobTemplate.spec", "backoffLimit", id="fields of a Job"),
        pytest.param("diemjob.spec.jobTemplate.spec.backoffLimit", "number of retries", id="description of Kubernetes"),
        pytest.param("diemjob.spec.jobTemplate.spec.suspend", "Must not be set", id="field of a Job that is ours"),
        pytest.param("diemjob.spec.jobTemplate.spec.template.spec.containers", "imagePullPolicy", id="inside pods"),
        pytest.param("dj.status.run", "completedAt", id="status"),
        pytest.param("dak.spec.adoptTokenSHA256", "SHA-256", id="key"),
    ],
)
def test_kubectl_explains(explaining_cluster: LocalCluster, path: str, expected: str) -> None:
    assert expected in explaining_cluster.kubectl("explain", path)
