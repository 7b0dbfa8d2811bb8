"""What administrators do while runs go on: namespaces go, CRDs are renewed and removed, rights are taken away."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import CRDS, apply_crds
from tests.localcluster import LocalCluster
from tests.reliability.installation import open_site
from tests.reliability.matrix import long_form
from tests.reliability.people import make_diemjob, restart_garbage_collector
from tests.reliability.playing import Theatre, conclude

CRD = "diemjobs.diem.io"


@pytest.fixture(scope="module")
def own_theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A cluster whose CRDs and rights may be changed."""
    with open_site(tmp_path_factory.mktemp("life")) as site:
        yield Theatre(site)


def read_crd(cluster: LocalCluster) -> dict[str, Any]:
    printed = cluster.kubectl("create", "--dry-run=client", "--output=json", f"--filename={CRDS / 'diemjob.yaml'}")
    return dict(json.loads(printed))


def apply(cluster: LocalCluster, manifest: dict[str, Any]) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(manifest))


@long_form
def test_namespace_goes_with_its_runs(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl", state="running"))
        stage.wait_run("etl", "Running", "state-1")

        stage.kube.delete("namespaces", "", stage.namespace)
        stage.wait_until("the namespace is gone", lambda: stage.kube.find("namespaces", "", stage.namespace) is None)

        assert stage.installation.operator.deaths == 0
        assert [entry for entry in stage.installation.operator.log if entry["level"] == "error"] == []


@long_form
def test_start_that_meets_a_namespace_on_its_way_out_makes_no_noise(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl", state="running"))
        stage.wait_run("etl", "Running", "state-1")
        stage.patch_jobs("etl", {"metadata": {"finalizers": ["example.com/hold"]}})
        stage.kube.delete("namespaces", "", stage.namespace)
        stage.wait_until("the DiemJob is gone", lambda: stage.kube.find("diemjobs", stage.namespace, "etl") is None)
        before = len(stage.installation.operator.proxy.exchanges)
        stage.pause(3)
        calls = stage.installation.operator.proxy.exchanges[before:]

        assert [str(each) for each in calls if each.call.is_write and each.call.resource != "leases"] == []
        stage.patch_jobs("etl", {"metadata": {"finalizers": None}})


@long_form
def test_crd_is_renewed_while_a_run_goes_on(own_theatre: Theatre) -> None:
    cluster = own_theatre.site.cluster
    with own_theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        later = copy.deepcopy(crd := read_crd(cluster))
        fields = later["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        fields["later"] = {"type": "string"}
        apply(cluster, later)
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "first")
        apply(cluster, crd)
        stage.start("etl", "second")
        stage.wait_run("etl", "Running", "second")
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "second")

        assert conclude(stage).complaints == []
        assert stage.installation.operator.deaths == 0


@long_form
def test_crd_is_removed_and_comes_back(own_theatre: Theatre) -> None:
    """Its DiemJobs go with it; Kubernetes collects their Jobs once it knows their owners' kind again.

    Afterwards everything works as before, without anybody's help.
    """
    cluster = own_theatre.site.cluster
    with own_theatre.stage(patience_seconds=120) as stage:
        stage.create(make_diemjob("etl", state="running"))
        stage.wait_run("etl", "Running", "state-1")
        cluster.kubectl("delete", "crd", CRD)
        stage.pause(3)
        apply_crds(cluster)
        restart_garbage_collector(cluster)
        stage.wait_until("the Jobs are gone", lambda: stage.kube.list_all("jobs", stage.namespace) == [])
        stage.forget("etl")

        stage.create(make_diemjob("etl"))
        stage.start("etl", "again")
        stage.wait_run("etl", "Running", "again")
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "again")

        assert conclude(stage).complaints == []


@long_form
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "cut-off"])
@pytest.mark.parametrize("role", ["diem-operator.diem-system", "diem-operator-api.diem-system"])
def test_rights_are_lost_and_given_back(own_theatre: Theatre, role: str, is_killed: bool) -> None:
    """Watches go on without them, until they are broken."""
    cluster = own_theatre.site.cluster
    with own_theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        rules = json.loads(cluster.kubectl("get", "clusterrole", role, "--output=json"))["rules"]
        write_rules(cluster, role, [])
        for program in stage.installation.programs:
            if is_killed:
                program.kill()
            else:
                program.proxy.cut()
        stage.finish_pods("etl")
        stage.pause(3)
        for program in stage.installation.programs:
            program.proxy.mend()
        stage.pause(10)
        write_rules(cluster, role, rules)
        stage.wait_run("etl", "Completed", "first")
        stage.start("etl", "second")
        stage.wait_run("etl", "Running", "second")
        stage.stop("etl")
        stage.wait_run("etl", "Stopped", "second", reason="StopRequested")

        assert conclude(stage).complaints == []


def write_rules(cluster: LocalCluster, role: str, rules: list[dict[str, Any]]) -> None:
    cluster.kubectl("patch", "clusterrole", role, "--type=merge", "--patch", json.dumps({"rules": rules}))
