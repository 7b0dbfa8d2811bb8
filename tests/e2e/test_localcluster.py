"""The local cluster itself: that it is a real Kubernetes, and that nothing of it stays behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.localcluster import LocalCluster, LocalClusterError, NodeKind
from tests.localcluster.node_kind import why_not_real
from tests.localcluster.simulated_pods import PREFIX
from tests.localcluster.system_packages import find_program

HINDRANCE = why_not_real()
needs_real_node = pytest.mark.skipif(HINDRANCE is not None, reason=str(HINDRANCE))

RESTRICTED_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "once"},
    "spec": {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": "localhost/diem/busybox:local",
                "command": ["sh", "-c", "echo user $(id -u); grep Seccomp: /proc/self/status"],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}

WEB_SERVER = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: localhost/diem/busybox:local
    command: [sh, -c, "echo served > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""

CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: localhost/diem/busybox:local, command: [sleep, "1000"]}]
"""


@pytest.fixture(scope="module")
def real() -> Iterator[LocalCluster]:
    if HINDRANCE is not None:
        pytest.skip(HINDRANCE)
    with LocalCluster.start(NodeKind.REAL, dns=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def simulated() -> Iterator[LocalCluster]:
    with LocalCluster.start(NodeKind.SIMULATED) as cluster:
        yield cluster


def test_control_plane_without_a_node_serves_and_keeps_an_audit_log(tmp_path: Path) -> None:
    with LocalCluster.start(NodeKind.NONE, audit=True) as cluster:
        cluster.kubectl("create", "configmap", "one")
        kubeconfig = cluster.service_account_kubeconfig(namespace="default", name="default", directory=tmp_path)
        who = json.loads(cluster.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig))

        assert cluster.audit_log is not None
        requests = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
        assert json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == "v1.35.4"
        assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
        assert kubeconfig.with_suffix(".token").stat().st_mode & 0o777 == 0o600
        assert [
            request["responseStatus"]["code"]
            for request in requests
            if (request["user"]["username"], request["verb"], request.get("objectRef", {}).get("resource"))
            == ("admin", "create", "configmaps")
        ] == [201]


def test_data_survive_a_crash_of_etcd_and_of_the_api_server() -> None:
    with LocalCluster.start(NodeKind.NONE, controllers=False) as cluster:
        cluster.kubectl("create", "configmap", "kept")
        cluster.etcd.kill()
        cluster.apiserver.kill()
        with pytest.raises(LocalClusterError, match="refused"):
            cluster.kubectl("get", "configmap", "kept")
        cluster.etcd.start()
        cluster.apiserver.start()

        assert cluster.kubectl("get", "configmap", "kept", "-o", "name") == "configmap/kept\n"


def test_frozen_api_server_does_not_answer_until_it_goes_on() -> None:
    with LocalCluster.start(NodeKind.NONE, controllers=False) as cluster:
        cluster.apiserver.pause()
        with pytest.raises(LocalClusterError):
            cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=1s")
        cluster.apiserver.resume()

        assert cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=20s") == "ok"


def test_restricted_cluster_refuses_pods_unless_their_namespace_says_otherwise() -> None:
    with LocalCluster.start(NodeKind.NONE, restricted=True) as cluster:
        with pytest.raises(LocalClusterError, match='violates PodSecurity "restricted:latest"'):
            cluster.kubectl("create", "-f", "-", input=CLIENT)
        cluster.kubectl("create", "-f", "-", input=json.dumps(RESTRICTED_POD))
        cluster.kubectl("label", "namespace", "default", "pod-security.kubernetes.io/enforce=privileged")

        assert cluster.kubectl("create", "-f", "-", input=CLIENT) == "pod/client created\n"


def test_kubectl_error_carries_what_kubectl_said() -> None:
    with (
        LocalCluster.start(NodeKind.NONE, controllers=False) as cluster,
        pytest.raises(LocalClusterError, match='configmaps "absent" not found'),
    ):
        cluster.kubectl("get", "configmap", "absent")


@pytest.mark.parametrize(
    ("annotations", "phase"),
    [
        pytest.param({}, "Succeeded", id="by-default-it-completes"),
        pytest.param({"exit-code": "3"}, "Failed", id="exit-code"),
        pytest.param({"run-for": "forever"}, "Running", id="forever"),
        pytest.param({"start-after": "never"}, "Pending", id="never-started"),
        pytest.param({"waiting-reason": "ImagePullBackOff"}, "Pending", id="image-that-is-not-there"),
    ],
)
def test_simulated_pod_lives_as_its_annotations_say(
    simulated: LocalCluster, annotations: dict[str, str], phase: str, request: pytest.FixtureRequest
) -> None:
    name = re.sub(r"[^a-z]+", "-", request.node.callspec.id)
    _create_job(simulated, name, annotations)
    _eventually(lambda: _pod_value(simulated, name, ".status.phase") == phase)
    time.sleep(1.5)  # longer than pods run by default: it must stay so

    assert _pod_value(simulated, name, ".status.phase") == phase
    reason = _pod_value(simulated, name, ".status.containerStatuses[0].state.waiting.reason")
    assert reason == annotations.get("waiting-reason", "")


def test_simulated_pod_that_never_stops_blocks_the_deletion_of_its_job(simulated: LocalCluster) -> None:
    _create_job(simulated, "stuck", {"run-for": "forever", "stop-after": "never"})
    _eventually(lambda: _pod_value(simulated, "stuck", ".status.phase") == "Running")
    simulated.kubectl("delete", "job", "stuck", "--cascade=foreground", "--wait=false")
    time.sleep(1)
    assert simulated.kubectl("get", "job", "stuck", "-o", "name") == "job.batch/stuck\n"

    simulated.kubectl("annotate", "pods", "--selector=job-name=stuck", "--overwrite", f"{PREFIX}/stop-after=0s")

    _eventually(lambda: simulated.kubectl("get", "job", "stuck", "-o", "name", "--ignore-not-found") == "")


def test_simulation_says_so() -> None:
    lines: list[str] = []
    with LocalCluster.start(NodeKind.SIMULATED, log=lines.append):
        pass

    assert sum(line.startswith("SIMULATED node") for line in lines) == 1


def test_pod_under_the_restricted_standard_runs_to_completion(real: LocalCluster) -> None:
    real.kubectl("create", "namespace", "strict")
    real.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    real.kubectl("create", "--namespace=strict", "-f", "-", input=json.dumps(RESTRICTED_POD))
    real.kubectl("wait", "--namespace=strict", "--for=jsonpath={.status.phase}=Succeeded", "pod/once", "--timeout=60s")

    assert real.kubectl("logs", "--namespace=strict", "once").split() == ["user", "65534", "Seccomp:", "2"]


def test_services_and_exec_work_inside_the_node(real: LocalCluster) -> None:
    real.kubectl("create", "-f", "-", input=WEB_SERVER)
    real.kubectl("create", "-f", "-", input=CLIENT)
    real.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/client", "--timeout=60s")
    address = real.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")

    from_another = ["exec", "client", "--", "timeout", "5", "wget", "-q", "-O", "-", f"http://{address}"]
    from_itself = ["exec", "web", "--", "timeout", "5", "wget", "-q", "-O", "-", f"http://{address}"]
    to_apiserver = ["exec", "client", "--", "sh", "-c", "nc -w 5 $KUBERNETES_SERVICE_HOST 443 < /dev/null && echo open"]
    _eventually(lambda: real.kubectl(*from_another) == "served\n")
    assert real.kubectl(*from_itself) == "served\n"
    assert real.kubectl(*to_apiserver) == "open\n"


def test_pods_find_services_by_name_and_nothing_else(real: LocalCluster) -> None:
    real.kubectl("create", "namespace", "named")
    real.kubectl("create", "--namespace=named", "-f", "-", input=WEB_SERVER)
    real.kubectl("create", "--namespace=named", "-f", "-", input=CLIENT)
    real.kubectl("wait", "--namespace=named", "--for=condition=Ready", "pod/web", "pod/client", "--timeout=60s")
    within = ["exec", "--namespace=named", "client", "--", "timeout", "5"]

    for name in ("web", "web.named", "web.named.svc", "web.named.svc.cluster.local"):
        fetch = [*within, "wget", "-q", "-O", "-", f"http://{name}"]
        _eventually(partial(_prints, real, fetch, "served\n"))
    with pytest.raises(LocalClusterError, match="NXDOMAIN"):
        real.kubectl(*within, "sh", "-c", "nslookup web.example >&2")


def test_dns_reads_nothing_but_what_it_answers_from(real: LocalCluster) -> None:
    account = ["auth", "can-i", "--as=system:coredns", "--list", "--no-headers"]
    rights = [line.split() for line in real.kubectl(*account).splitlines()]

    assert sorted(one[0] for one in rights if one[0][0] not in "/[" and "create" not in one[-1]) == [
        "endpointslices.discovery.k8s.io",
        "namespaces",
        "services",
    ]


def test_node_recovers_from_crashes_of_its_programs(real: LocalCluster) -> None:
    for name in ("kubelet", "containerd", "kube-proxy", "coredns"):
        real.components[name].kill()
    for name in ("containerd", "kubelet", "kube-proxy", "coredns"):
        real.components[name].start()
    real.kubectl("run", "after", "--image=localhost/diem/busybox:local", "--restart=Never", "--", "echo", "alive")
    real.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/after", "--timeout=60s")

    assert real.kubectl("logs", "after") == "alive\n"


@needs_real_node
def test_two_real_clusters_side_by_side_leave_nothing_behind(real: LocalCluster) -> None:
    tables = _nft_tables()
    with LocalCluster.start(NodeKind.REAL) as second:
        second.kubectl("create", "-f", "-", input=CLIENT)
        second.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
        name = str(second.node_name)
        assert name != real.node_name
        assert _traces(second.directory, name) != []

    assert _traces(second.directory, name) == []
    assert _nft_tables() == tables
    assert real.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}") == real.node_name


@needs_real_node
@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="terminated"),
        pytest.param(signal.SIGKILL, -9, id="killed"),
    ],
)
def test_nothing_is_left_when_the_parent_ends(number: int, exit_code: int, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.localcluster"]
    with subprocess.Popen([*command, "up", "--node=real"], stdout=subprocess.PIPE, text=True, env=environment) as up:
        assert up.stdout is not None
        values = dict(next(up.stdout).removeprefix("export ").rstrip().split("=", 1) for _ in range(3))
        directory = Path(values["DIEM_CLUSTER"])
        _run_pod(values["KUBECTL"], values["KUBECONFIG"])
        up.send_signal(number)
        assert up.wait() == exit_code
    name = f"diem-{directory.name}"
    if number == signal.SIGKILL:
        _eventually(lambda: not _mentioning_processes(directory))
        subprocess.run([*command, "reap"], check=True, env=environment)

    assert _traces(directory, name) == []
    assert list(tmp_path.iterdir()) == []


def _create_job(cluster: LocalCluster, name: str, annotations: dict[str, str]) -> None:
    template = {
        "metadata": {"annotations": {f"{PREFIX}/{key}": value for key, value in annotations.items()}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]},
    }
    spec = {"backoffLimit": 0, "template": template}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("create", "-f", "-", input=json.dumps(job))


def _pod_value(cluster: LocalCluster, job: str, path: str) -> str:
    return cluster.kubectl("get", "pods", f"--selector=job-name={job}", "-o", f"jsonpath={{.items[*]{path}}}")


def _prints(cluster: LocalCluster, command: list[str], expected: str) -> bool:
    return cluster.kubectl(*command) == expected


def _run_pod(kubectl: str, kubeconfig: str) -> None:
    command = [kubectl, f"--kubeconfig={kubeconfig}"]
    subprocess.run([*command, "create", "-f", "-"], input=CLIENT, text=True, check=True)
    subprocess.run([*command, "wait", "--for=condition=Ready", "pod/client", "--timeout=60s"], check=True)


def _eventually(holds: Callable[[], bool], timeout_seconds: float = 20) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def _traces(directory: Path, name: str) -> list[str]:
    """Return whatever on this machine still belongs to a cluster."""
    interfaces = [str(path) for path in Path("/sys/class/net").glob(name)]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{name}")]
    return [*interfaces, *groups, *_mentioning_processes(directory), *([str(directory)] if directory.exists() else [])]


def _mentioning_processes(directory: Path) -> list[str]:
    """Return the processes that have a folder in their command line or in the mounts they see."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            text = _read(process / "cmdline") + _read(process / "mounts")
            found += [process.name] if str(directory) in text else []
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _nft_tables() -> str:
    return subprocess.run(
        [find_program("nft") or "nft", "list", "tables"], capture_output=True, text=True, check=True
    ).stdout
