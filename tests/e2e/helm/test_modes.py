"""The other ways to install, each played once from install to uninstall, by the other major version of Helm."""

import base64
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hack.image.obtaining import BuiltImage
from hack.local.installation import MANIFESTS, ROOT
from hack.local.waiting import wait_for
from tests.e2e.helm.release import NAME, NAMESPACE, HelmError, Release
from tests.e2e.helm.tenant import Tenant
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError
from tests.localcluster.pki import Authority

SLEEPER = "import time; print('begun', flush=True); time.sleep(1000)"
GREETER = "print('hello')"


@pytest.fixture(params=["helm", "helm4"])
def any_release(release: Release, helms: dict[str, Path], request: pytest.FixtureRequest) -> Release:
    return release.using(helm=helms[request.param])


@pytest.fixture
def modern(release: Release, helms: dict[str, Path]) -> Release:
    return release.using(helm=helms["helm4"])


def make_tenant(cluster: LocalCluster, image: BuiltImage, name: str) -> Iterator[Tenant]:
    tenant = Tenant(cluster=cluster, namespace=name, image=image.name)
    tenant.set_up()
    yield tenant
    cluster.kubectl("delete", "namespace", name)


@pytest.fixture
def team(platform: LocalCluster, image: BuiltImage) -> Iterator[Tenant]:
    yield from make_tenant(platform, image, "team-a")


@pytest.fixture
def stranger(platform: LocalCluster, image: BuiltImage) -> Iterator[Tenant]:
    yield from make_tenant(platform, image, "team-b")


def play(team: Tenant) -> str:
    """Play the story: a run that completes, a run that is stopped, and a key that ends; return one that opens."""
    team.wait_for_caller()
    token, other = team.make_key(), team.make_key("other")
    team.make_job("greeter", GREETER)
    team.make_job("sleeper", SLEEPER)
    assert team.call(token, id="greeter", action="start").message == "job started"
    assert team.call(token, id="sleeper", action="start").message == "job started"
    team.follow(token, "greeter", until="Completed")
    team.follow(token, "sleeper", until="Running")
    assert team.read_logs("greeter") == "hello\n"
    assert team.call(token, id="sleeper", action="stop").message == "job stopped"
    team.follow(token, "sleeper", until="Stopped")
    assert team.list_names("pods", "sleeper") == []
    team.kubectl("patch", "diemapikey", "other", "--type=merge", '--patch={"spec":{"revoked":true}}')
    wait_for("a revoked key opens nothing", lambda: team.call(other, id="sleeper", action="status").status == 401)
    return token


def test_deployment_mode_with_https(modern: Release, team: Tenant, tmp_path: Path, platform: LocalCluster) -> None:
    authority = Authority(tmp_path)
    put_certificate(modern, authority)
    secure = replace(
        team,
        endpoint=f"https://{NAME}-api.{NAMESPACE}.svc/etl-mgr/api/apijob",
        authority=authority.ca_file.read_text(),
    )
    settings = {"api.mode": "deployment", "api.deployment.replicas": 3, "api.tls.secretName": "api-tls"}
    with modern.using(values={**modern.values, **settings}).installed() as installed:
        assert [len(installed.read_pods(component)) for component in ("operator", "api")] == [2, 3]
        assert [len(pod["spec"]["containers"]) for pod in installed.read_pods()] == [1, 1]
        play(secure)
        can_make_tokens = ("auth", "can-i", "create", "serviceaccounts/diem-operator-api", "--subresource=token")
        with pytest.raises(KubectlError):
            installed.kubectl(*can_make_tokens, "--as=system:serviceaccount:diem-system:diem-operator")
        assert "PASSED" in installed.test()
    modern.kubectl("delete", "secret", "api-tls")


def put_certificate(release: Release, authority: Authority) -> None:
    hosts = [f"{NAME}-api.{NAMESPACE}.svc", f"{NAME}-api.{NAMESPACE}", "localhost"]
    pair = authority.issue_server("api", hosts)
    release.kubectl("create", "secret", "tls", "api-tls", f"--cert={pair.certificate}", f"--key={pair.key}")


def test_namespaced_mode_serves_its_namespaces_and_no_other(
    any_release: Release, team: Tenant, stranger: Tenant
) -> None:
    settings = {"watchNamespaces": [team.namespace]}
    with any_release.using(values={**any_release.values, **settings}).installed() as installed:
        token = play(team)
        stranger.make_job("ignored", GREETER, state="running", run={"id": "1"})
        team.make_job("later", GREETER, state="running", run={"id": "1"})
        team.follow(token, "later", until="Completed")
        assert stranger.list_names("jobs", "ignored") == []
        assert team.call(token, id="team-b/ignored", action="status").status == 404
        assert "PASSED" in installed.test()


def test_plain_manifests_do_without_helm(modern: Release, team: Tenant) -> None:
    modern.cluster.kubectl("apply", "--kustomize", str(MANIFESTS / "overlays" / "cluster"))
    try:
        modern.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=60s")
        play(team)
    finally:
        for command in read_documented_removal():
            modern.cluster.kubectl(*command)
        # Helm would not take them over.
        modern.cluster.kubectl("delete", "crd", "diemjobs.diem.io", "diemapikeys.diem.io")
    wait_for("the pods are gone", lambda: modern.read_pods() == [])


def read_documented_removal() -> list[list[str]]:
    """Return the commands of the guide that remove such an installation, and nothing of its users."""
    text = (ROOT / "docs" / "install.md").read_text()
    (block,) = [one for one in text.split("```console\n") if "kubectl -n diem-system delete -l" in one.split("```")[0]]
    lines = block.split("```")[0].replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("$ kubectl ")) for line in lines if line.startswith("$ kubectl ")]


def test_installation_that_cannot_become_ready_is_not_reported_as_ready(modern: Release) -> None:
    broken = modern.using(values={**modern.values, "image.tag": "absent"})
    try:
        with pytest.raises(HelmError, match=r"not ready|InProgress|deadline|timed out"):
            broken.install("--timeout=15s")
    finally:
        broken.uninstall()


def test_signing_secret_of_the_platform_team_is_used(modern: Release, team: Tenant) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    modern.kubectl("create", "secret", "generic", "ours", f"--from-literal=key={key}")
    settings = {"keys.signingSecret.existingSecret": "ours"}
    with modern.using(values={**modern.values, **settings}).installed() as installed:
        team.wait_for_caller()
        assert team.call(team.make_key(), id="none", action="status").status == 404
        secrets = installed.kubectl("get", "secrets", "--output=jsonpath={.items[*].metadata.name}").split()
        assert "diem-operator-signing" not in secrets
    modern.kubectl("delete", "secret", "ours")
