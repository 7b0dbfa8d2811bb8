"""The whole life of the default installation: operator and API in one pod, two replicas, all namespaces.

The tests are one story: each begins where the one before has ended.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hack.image.obtaining import BuiltImage
from hack.local.waiting import wait_for
from tests.e2e.helm.conftest import CHART, package
from tests.e2e.helm.leftovers import find_leftovers, list_objects
from tests.e2e.helm.release import NAMESPACE, Release
from tests.e2e.helm.tenant import Tenant
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError
from tests.localcluster.inheritance import build_environment

SLEEPER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("begun", flush=True)
time.sleep({seconds})
print("ended", flush=True)
"""
LONG = SLEEPER.format(seconds=1000)
FOR_A_WHILE = SLEEPER.format(seconds=15)


@pytest.fixture(scope="module")
def before(platform: LocalCluster) -> set[str]:
    return list_objects(platform)


@pytest.fixture(scope="module")
def team(platform: LocalCluster, image: BuiltImage, before: set[str]) -> Tenant:
    team = Tenant(cluster=platform, namespace="team-a", image=image.name)
    team.set_up()
    return team


@pytest.fixture(scope="module")
def notes(release: Release, before: set[str]) -> str:
    return release.install()


@pytest.fixture(scope="module")
def installed(release: Release, notes: str) -> Iterator[Release]:
    yield release
    print(release.describe_trouble())


@pytest.fixture(scope="module")
def token(installed: Release, team: Tenant) -> str:
    team.wait_for_caller()
    return team.make_key()


def test_installation_is_ready_when_helm_says_so(installed: Release, team: Tenant, token: str) -> None:
    pods = installed.read_pods()
    statuses = [status for pod in pods for status in pod["status"]["containerStatuses"]]

    assert installed.leader in {pod["metadata"]["name"] for pod in pods}
    assert [status["ready"] for status in statuses] == [True] * 4
    assert [status["restartCount"] for status in statuses] == [0] * 4
    assert team.call(token, id="none", action="status").status == 404


def test_helm_test_passes_and_leaves_nothing(installed: Release) -> None:
    told = installed.test()

    assert "PASSED" in told, told
    wait_for(
        "the namespace of the test is gone", lambda: "diem-system-helm-test" not in list_names(installed, "namespaces")
    )
    assert [name for name in list_names(installed, "pods") if "test" in name] == []


def list_names(release: Release, resource: str) -> list[str]:
    return release.kubectl("get", resource, "--output=jsonpath={.items[*].metadata.name}").split()


def test_notes_lead_to_the_first_start_in_four_commands(installed: Release, notes: str, tmp_path: Path) -> None:
    commands = re.findall(r"^\d\. .*?:\n\n(.*?)(?=\n\n)", notes, re.MULTILINE | re.DOTALL)
    assert len(commands) == 4
    script = "\n".join(["set -e", *commands, "kill %1"])
    path = f"{link_kubectl(installed, tmp_path)}:/usr/local/bin:/usr/bin:/bin"
    environment = build_environment({"PATH": path, "KUBECONFIG": str(installed.cluster.admin_kubeconfig)})
    done = subprocess.run(
        ["bash", "-mc", script.replace("\n\nkubectl -n", "\nkubectl -n")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"message":"job started"' in done.stdout
    read_log = ("logs", "--namespace=diem-demo", "--selector=diem.io/diemjob=hello", "--tail=-1")
    wait_for("it has greeted", lambda: "Hello, you" in try_kubectl(installed, *read_log))
    installed.cluster.kubectl("delete", "namespace", "diem-demo")


def link_kubectl(release: Release, folder: Path) -> Path:
    (folder / "kubectl").symlink_to(release.cluster.kubectl_path)
    return folder


def try_kubectl(release: Release, *arguments: str) -> str:
    try:
        return release.cluster.kubectl(*arguments)
    except KubectlError:
        return ""


def test_start_through_the_service_runs_a_real_pod_to_its_end(team: Tenant, token: str) -> None:
    team.make_job(
        "greeter", "import os; print('Hello,', os.environ['WHO'])", parameters=[{"name": "WHO", "required": True}]
    )

    answer = team.call(token, id="greeter", action="start", parameters={"WHO": "$(PATH), $$(WHO) and $$"})

    assert (answer.status, answer.message) == (200, "job started")
    team.follow(token, "greeter", until="Completed")
    assert team.read_logs("greeter") == "Hello, $(PATH), $$(WHO) and $$\n"  # the kubelet has expanded nothing


def test_killed_leader_is_replaced_in_mid_run_without_a_second_job(
    installed: Release, team: Tenant, token: str
) -> None:
    team.make_job("steady", FOR_A_WHILE)
    team.call(token, id="steady", action="start")
    team.follow(token, "steady", until="Running")
    jobs, pods, killed = team.list_names("jobs", "steady"), team.list_names("pods", "steady"), installed.leader

    installed.kubectl("delete", "pod", killed, "--grace-period=0", "--force")

    wait_for("another pod leads", lambda: installed.leader not in {"", killed}, within_seconds=20)
    team.follow(token, "steady", until="Completed")
    assert team.list_names("jobs", "steady") == jobs
    assert team.list_names("pods", "steady") == pods
    assert len(jobs) == 1
    assert team.read("diemjob/steady", "{.status.run.number}") == "1"
    assert team.read_logs("steady") == "begun\nended\n"
    installed.kubectl("rollout", "status", "deployment/diem-operator", "--timeout=60s")


def read_in_pod(release: Release, container: str, program: str) -> str:
    (pod, *_) = [pod["metadata"]["name"] for pod in release.read_pods()]
    return release.kubectl("exec", pod, f"--container={container}", "--", "/opt/diem/bin/python", "-c", program).strip()


def test_api_container_has_its_own_short_lived_token_and_no_other(installed: Release) -> None:
    token = read_in_pod(installed, "api", "print(open('/var/run/diem/api-token/token').read())")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    find_tokens = (
        "import os\nfor folder, _, files in os.walk('/var/run', followlinks=True):\n"
        "    for file in files:\n        text = open(os.path.join(folder, file), errors='replace').read()\n"
        "        if text.startswith('eyJ'): print(folder)"
    )

    assert claims["sub"] == "system:serviceaccount:diem-system:diem-operator-api"
    assert claims["exp"] - claims["iat"] == 3600
    assert read_in_pod(installed, "api", find_tokens) == "/var/run/diem/api-token"
    writing = "open('/var/run/diem/api-token/token', 'a')"
    with pytest.raises(KubectlError, match="Read-only file system"):
        read_in_pod(installed, "api", writing)


def test_containers_run_restricted(installed: Release) -> None:
    for container in ("operator", "api"):
        assert read_in_pod(installed, container, "import os; print(os.getuid(), os.getgid())") == "65532 65532"
        with pytest.raises(KubectlError, match="Read-only file system"):
            read_in_pod(installed, container, "open('/tmp/x', 'w')")


@pytest.mark.parametrize("account", ["diem-operator", "diem-operator-api"])
def test_pods_of_jobs_cannot_use_our_identities(installed: Release, team: Tenant, token: str, account: str) -> None:
    team.make_job(f"as-{account}", "print('in')", pod={"serviceAccountName": account})
    team.call(token, id=f"as-{account}", action="start")

    reason = "{.status.run.reason}: {.status.run.message}"
    wait_for("it is told why", lambda: "not found" in team.read(f"diemjob/as-{account}", reason), within_seconds=30)
    assert team.list_names("pods", f"as-{account}") == []
    team.call(token, id=f"as-{account}", action="stop")


def test_job_beside_the_operator_is_not_served(installed: Release, team: Tenant, token: str) -> None:
    inside = Tenant(cluster=installed.cluster, namespace=NAMESPACE, image=team.image)
    inside.make_job(
        "thief", "print('in')", pod={"serviceAccountName": "diem-operator"}, state="running", run={"id": "1"}
    )
    team.make_job("later", "print('done')", state="running", run={"id": "1"})

    wait_for("a later one is done", lambda: team.read("diemjob/later", "{.status.phase}") == "Completed")

    assert inside.list_names("jobs", "thief") == []
    assert inside.read("diemjob/thief", "{.status}") == ""
    installed.kubectl("delete", "diemjob", "thief")


def test_token_of_a_job_pod_opens_nothing(installed: Release, team: Tenant, token: str) -> None:
    questions = (
        "get secrets",
        "list diemjobs.diem.io",
        "patch diemjobs.diem.io",
        "create jobs.batch",
        "get diemapikeys.diem.io",
    )
    for question in questions:
        asking = ("auth", "can-i", *question.split(), "--as=system:serviceaccount:team-a:default")
        with pytest.raises(KubectlError):
            team.kubectl(*asking)


@pytest.fixture(scope="module")
def later_chart(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of a later release: its DiemJob has one more field."""
    folder = tmp_path_factory.mktemp("later")
    shutil.copytree(CHART, folder / "diem-operator")
    path = folder / "diem-operator" / "templates" / "crds" / "diemjob.yaml"
    text, mark = path.read_text(), "\n              state:\n"
    assert text.count(mark) == 1
    path.write_text(text.replace(mark, f"\n              later:\n                type: string{mark}"))
    return package(release.helm, folder / "diem-operator", folder)


@pytest.fixture(scope="module")
def running(team: Tenant, token: str) -> list[str]:
    """The pod of a run that nothing may disturb."""
    team.make_job("lasting", LONG)
    team.call(token, id="lasting", action="start")
    team.follow(token, "lasting", until="Running")
    return read_pod_uids(team)


def read_pod_uids(team: Tenant) -> list[str]:
    selector = ("pods", "--selector=diem.io/diemjob=lasting", "--output=jsonpath={.items[*].metadata.uid}")
    return team.kubectl("get", *selector).split()


def has_later_field(release: Release) -> bool:
    return "later" in release.cluster.kubectl("explain", "diemjob.spec")


def test_upgrade_with_another_value_and_another_crd_leaves_runs_alone(
    installed: Release, later_chart: Path, team: Tenant, token: str, running: list[str]
) -> None:
    old_pods = {pod["metadata"]["name"] for pod in installed.read_pods()}
    later = installed.using(chart=later_chart, values={**installed.values, "operator.workers": 3, "log.level": "debug"})

    later.upgrade()

    assert old_pods.isdisjoint(pod["metadata"]["name"] for pod in installed.read_pods())
    assert read_in_pod(installed, "operator", "import os; print(os.environ['DIEM_WORKERS'])") == "3"
    wait_for("the new field is served", lambda: has_later_field(installed), within_seconds=20)
    assert team.call(token, id="lasting", action="status").message == "Running"
    assert read_pod_uids(team) == running


def test_rollback_leaves_runs_alone(installed: Release, team: Tenant, token: str, running: list[str]) -> None:
    installed.rollback()

    assert read_in_pod(installed, "operator", "import os; print(os.environ['DIEM_WORKERS'])") == "16"
    wait_for("the old schema is served", lambda: not has_later_field(installed), within_seconds=20)
    assert team.call(token, id="lasting", action="start").message == "job already running"
    assert read_pod_uids(team) == running


def test_key_survives_all_of_this_and_ends_when_revoked(installed: Release, team: Tenant, token: str) -> None:
    other = team.make_key("other")
    assert team.call(other, id="lasting", action="status").status == 200

    team.kubectl("patch", "diemapikey", "other", "--type=merge", '--patch={"spec":{"revoked":true}}')

    wait_for(
        "it opens nothing", lambda: team.call(other, id="lasting", action="status").status == 401, within_seconds=5
    )
    assert team.call(token, id="lasting", action="status").status == 200


def test_uninstallation_leaves_resources_and_runs_and_nothing_else(
    installed: Release, before: set[str], team: Tenant, running: list[str]
) -> None:
    installed.uninstall()

    wait_for("the pods are gone", lambda: list_names(installed, "pods") == [])
    time.sleep(3)  # longer than a leader that lives on would need to write its lease again
    assert find_leftovers(installed.cluster, before) == set()
    assert list_names(installed, "customresourcedefinitions") == ["diemapikeys.diem.io", "diemjobs.diem.io"]
    assert read_pod_uids(team) == running
    assert team.kubectl("get", "diemjob", "lasting", "--output=name") == "diemjob.diem.io/lasting\n"


def test_reinstallation_finds_the_run_again_and_stops_it(
    installed: Release, team: Tenant, token: str, running: list[str]
) -> None:
    installed.install()

    assert team.call(token, id="lasting", action="status").message == "Running"
    assert read_pod_uids(team) == running
    assert team.call(token, id="lasting", action="stop", wait=30).message == "job stopped"
    team.follow(token, "lasting", until="Stopped")
    assert read_pod_uids(team) == []
    installed.uninstall()
    installed.cluster.kubectl("delete", "namespace", team.namespace)


def test_metadata_of_the_chart_agree_with_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (CHART.parents[1] / "pyproject.toml").read_text()

    assert f'version = "{chart["appVersion"]}"' in project
