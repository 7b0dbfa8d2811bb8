"""The operator's process against a real API server, with no rights but those of an installation."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import make_template
from tests.integration.conftest import CRDS, apply_crds
from tests.integration.identities import API_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE, issue_kubeconfig
from tests.integration.operator_process import OperatorProcess, eventually, running_operator
from tests.localcluster import LocalCluster, NodeKind
from tests.localcluster.kubeconfig import write_token_kubeconfig

USER = "system:serviceaccount:diem-system:diem-operator"
IDLE_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """One line of the audit log."""

    verb: str
    resource: str
    code: int


@dataclass(frozen=True, kw_only=True)
class Site:
    """A cluster where the operator's rights are in place, but no operator."""

    cluster: LocalCluster
    kubeconfig: Path
    directory: Path

    def read_requests(self, *, since: int = 0) -> list[Request]:
        """Return the operator's requests that ended, after so many lines of the audit log; watches end late."""
        entries = [json.loads(line) for line in self._read_audit_lines()[since:]]
        return [
            Request(
                verb=entry["verb"],
                resource=entry.get("objectRef", {}).get("resource", ""),
                code=entry["responseStatus"]["code"],
            )
            for entry in entries
            if entry["user"]["username"] == USER and entry["stage"] == "ResponseComplete"
        ]

    def count_audit_lines(self) -> int:
        return len(self._read_audit_lines())

    def _read_audit_lines(self) -> list[str]:
        assert self.cluster.audit_log is not None
        text = self.cluster.audit_log.read_text()
        return text[: text.rfind("\n") + 1].splitlines()

    @property
    def lease_holder(self) -> str:
        jsonpath = "jsonpath={.spec.holderIdentity}"
        return self.cluster.kubectl("get", "lease", "diem-operator", "-n", "diem-system", "-o", jsonpath)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("operator")
    with LocalCluster.start(node=NodeKind.NONE, audit=True) as cluster:
        apply_crds(cluster)
        kubeconfig = issue_kubeconfig(cluster, account=OPERATOR_ACCOUNT, directory=directory)
        yield Site(cluster=cluster, kubeconfig=kubeconfig, directory=directory)


@pytest.fixture
def operator(site: Site) -> Iterator[OperatorProcess]:
    with running_operator(site.kubeconfig, site.directory) as operator:
        operator.wait_leading()
        operator.wait_ready()
        yield operator


@pytest.fixture
def team(site: Site) -> Iterator[str]:
    name = f"team-{time.monotonic_ns()}"
    site.cluster.kubectl("create", "namespace", name)
    yield name
    site.cluster.kubectl("delete", "namespace", name, "--wait=false")


def make_diemjob_manifest(name: str, namespace: str, **spec: object) -> str:
    return json.dumps(
        {
            "apiVersion": "diem.io/v1",
            "kind": "DiemJob",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"jobTemplate": make_template()} | spec,
        }
    )


def test_leader_is_alive_ready_and_measured(operator: OperatorProcess) -> None:
    assert operator.ask("/healthz") == (200, "ok\n")
    assert operator.ask("/readyz") == (200, "ok\n")
    requests = 'diem_operator_kubernetes_requests_total{code="200",method="GET",resource="diemjobs"}'
    assert operator.read_metric(requests) >= 1
    assert operator.read_metric("process_resident_memory_bytes") > 0
    assert 'diem_operator_queue_depth{controller="diemjobs"} 0.0' in operator.ask("/metrics")[1]


def test_sigterm_ends_it_quickly_and_frees_the_lease(site: Site, operator: OperatorProcess) -> None:
    assert site.lease_holder != ""
    code, seconds = operator.terminate()
    assert code == 0
    assert seconds < 3
    assert site.lease_holder == ""
    assert {entry["level"] for entry in operator.log} == {"info"}


def test_idle_operator_writes_nothing_but_its_lease(site: Site, operator: OperatorProcess, team: str) -> None:
    site.cluster.kubectl("create", "-f", "-", input=make_diemjob_manifest("idle", team))
    eventually(
        "the operator has seen the DiemJob",
        lambda: operator.read_metric('diem_operator_watch_events_total{resource="diemjobs",type="ADDED"}') >= 1,
    )
    wait_until_quiet(site)
    before = site.count_audit_lines()
    time.sleep(IDLE_SECONDS)
    assert {(request.verb, request.resource) for request in site.read_requests(since=before)} == {("update", "leases")}


def wait_until_quiet(site: Site) -> None:
    """Return after a second without any request but for the lease."""
    since = site.count_audit_lines()
    quiet_at = time.monotonic() + 1
    while time.monotonic() < quiet_at:
        time.sleep(0.1)
        if any(request.resource != "leases" for request in site.read_requests(since=since)):
            since, quiet_at = site.count_audit_lines(), time.monotonic() + 1


def test_rights_suffice_for_a_whole_run(site: Site, operator: OperatorProcess, team: str) -> None:
    before = site.count_audit_lines()
    kubectl = site.cluster.kubectl
    run = {"id": "run-1"}
    kubectl("create", "-f", "-", input=make_diemjob_manifest("whole", team, state="running", run=run))

    def phase() -> str:
        return kubectl("get", "diemjob", "whole", "-n", team, "-o", "jsonpath={.status.phase}")

    eventually("the run has a Job", lambda: phase() in {"Pending", "Running"})
    assert operator.read_metric("diem_operator_live_runs") == 1
    assert operator.read_metric('diem_operator_stored_objects{resource="jobs"}') == 1
    kubectl("patch", "diemjob", "whole", "-n", team, "--type=merge", "-p", '{"spec":{"state":"stopped"}}')
    eventually("the run is stopped", lambda: phase() == "Stopped")
    events = ("get", "events", "-n", team, "--field-selector=involvedObject.kind=DiemJob")
    eventually("people are told", lambda: "RunStopped" in kubectl(*events))
    assert [request for request in site.read_requests(since=before) if request.code in {401, 403}] == []
    assert [entry for entry in operator.log if entry["level"] in {"warning", "error"}] == []


def test_own_namespace_is_left_alone(site: Site, operator: OperatorProcess, team: str) -> None:
    kubectl = site.cluster.kubectl
    run = {"id": "run-1"}
    for namespace in ("diem-system", team):
        kubectl("create", "-f", "-", input=make_diemjob_manifest("same", namespace, state="running", run=run))
    try:
        eventually("the other one runs", lambda: "same" in kubectl("get", "jobs", "-n", team, "-o", "name"))
        assert kubectl("get", "jobs", "-n", "diem-system", "-o", "name") == ""
    finally:
        kubectl("delete", "diemjob", "same", "-n", "diem-system")


def test_standby_is_ready_and_takes_over(site: Site, operator: OperatorProcess) -> None:
    with running_operator(site.kubeconfig, site.directory) as standby:
        standby.wait_ready()
        assert not standby.is_leader
        operator.terminate()
        began = time.monotonic()
        standby.wait_leading()
        assert time.monotonic() - began < 2


def test_standby_under_older_crds_is_not_ready_so_that_a_rollout_waits(site: Site, operator: OperatorProcess) -> None:
    # As if this release wrote one more field than the CRDs have: a field that is written goes from the schema.
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/recentRunIds"
    crd = ("crd", "diemjobs.diem.io")
    site.cluster.kubectl("patch", *crd, "--type=json", f'--patch=[{{"op": "remove", "path": "{path}"}}]')
    try:
        with running_operator(site.kubeconfig, site.directory) as standby:
            eventually("it says why", lambda: any("the CRDs are older" in message for message in standby.messages))
            time.sleep(3)  # longer than it takes to see the leader renew
            assert standby.ask("/readyz") == (503, "not yet or no longer: schemas\n")
            assert operator.is_leader
            apply_crds(site.cluster)
            standby.wait_ready()
    finally:
        apply_crds(site.cluster)


def check_starts(site: Site, team: str, name: str) -> None:
    """Create a DiemJob that is to run, and return when its Job is there."""
    manifest = make_diemjob_manifest(name, team, state="running", run={"id": "run-1"})
    site.cluster.kubectl("create", "-f", "-", input=manifest)
    eventually(
        "what is asked for is done",
        lambda: name in site.cluster.kubectl("get", "jobs", "-n", team, "-o", "name"),
        within_seconds=60,
    )


def test_api_server_that_restarts_costs_no_process(site: Site, operator: OperatorProcess, team: str) -> None:
    site.cluster.apiserver.restart()
    check_starts(site, team, "later")
    assert operator.process.poll() is None
    assert operator.ask("/healthz")[0] == 200


MISSING = "Waited for the cluster: diemjobs.diem.io, diemapikeys.diem.io missing; apply the crds/ of this release"


def check_waits_for_crds(process: OperatorProcess) -> None:
    eventually("it says what it waits for", lambda: MISSING in process.messages)
    assert process.ask("/healthz")[0] == 200
    assert process.ask("/readyz")[0] == 503


def test_lost_crds_are_waited_for(site: Site, operator: OperatorProcess, team: str) -> None:
    """Neither the process that has watched them ends nor one that starts without them."""
    site.cluster.kubectl("delete", "--filename", str(CRDS))
    try:
        with running_operator(site.kubeconfig, site.directory) as late:
            for waiting in (operator, late):
                check_waits_for_crds(waiting)
            apply_crds(site.cluster)
            for waiting in (operator, late):
                waiting.wait_ready()
    finally:
        apply_crds(site.cluster)
    check_starts(site, team, "afterwards")
    assert operator.process.poll() is None


def test_api_beside_the_operator_is_handed_a_token_of_its_own(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "token"
    flags = (f"--api-service-account={API_ACCOUNT}", f"--api-token-file={file}", "--api-token-lifetime=600")
    with running_operator(site.kubeconfig, site.directory, *flags) as operator:
        eventually("the token is there", file.exists)
        who = json.loads(site.cluster.kubectl(*ASK_WHO, kubeconfig=write_kubeconfig(site, file, tmp_path)))
        operator.wait_ready()

    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{SYSTEM_NAMESPACE}:{API_ACCOUNT}"
    assert file.read_text() not in operator.log_file.read_text()


ASK_WHO = ("auth", "whoami", "--output=json")


def write_kubeconfig(site: Site, token_file: Path, folder: Path) -> Path:
    return write_token_kubeconfig(
        folder / "kubeconfig",
        server=site.cluster.server,
        ca_file=site.cluster.ca_file,
        token=token_file.read_text(),
        namespace=SYSTEM_NAMESPACE,
    )
