"""An attacked API; after every single attack it must be alive, and its log must be whole and tell no key."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import apply_crds
from tests.integration.identities import API_ACCOUNT, issue_kubeconfig
from tests.localcluster import LocalCluster, NodeKind
from tests.security.http.attacked import AttackedApi, Team, attacked_api, new_team

NO_FAILURE_LIMIT = "--failed-keys-rate=0"
"""So that each attack meets the answer that it is about; the limit has tests of its own."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """An API server that keeps a record of all requests."""
    with LocalCluster.start(NodeKind.NONE, audit=True) as cluster:
        apply_crds(cluster)
        yield cluster


@pytest.fixture(scope="session")
def api_kubeconfig(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue_kubeconfig(cluster, account=API_ACCOUNT, directory=tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="session")
def api(cluster: LocalCluster, api_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedApi]:
    with attacked_api(cluster, api_kubeconfig, tmp_path_factory.mktemp("api"), NO_FAILURE_LIMIT) as api:
        yield api


@pytest.fixture(scope="module")
def team(api: AttackedApi) -> Iterator[Team]:
    """The team that is attacked."""
    with new_team(api) as team:
        yield team


@pytest.fixture(scope="module")
def rivals(api: AttackedApi) -> Iterator[Team]:
    """Another team, with a job of the same name."""
    with new_team(api) as team:
        yield team


@pytest.fixture(autouse=True)
def log_stays_whole(api: AttackedApi) -> Iterator[None]:
    """Fail an attack that ends the process, breaks a line of the log, or gets a key into it."""
    before = api.log_file.stat().st_size
    yield
    assert api.process.poll() is None
    check_log(api, since=before)


def check_log(api: AttackedApi, *, since: int = 0) -> None:
    """Each line is one JSON object, and none holds a key or the header that keys come in."""
    lines = api.read_log(since=since)
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert [line for line in lines if "x-api-key" in line.lower()] == []
    assert [line for line in lines for token in api.tokens if token in line] == []
