"""The CustomResourceDefinitions themselves: how they are applied, and what kubectl tells of them."""

import json
import os
from collections.abc import Iterator

import pytest

from hack import generate_crds
from tests.integration.conftest import CRDS
from tests.localcluster import LocalCluster, NodeKind


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
def test_kubectl_explains(cluster: LocalCluster, path: str, expected: str) -> None:
    assert expected in cluster.kubectl("explain", path)
