"""A name that another team gives its job takes nobody's callers away, whatever stands in it."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.operator_process import eventually
from tests.localcluster import LocalCluster
from tests.security.http.attacked import JOB, AttackedApi, Team, attacked_api, new_team

ALIAS = "Nightly load (old)"
TRAP = "trap"


def lay_traps(team: Team, rivals: Team) -> None:
    """Give the rivals' job every name that somebody of the team may ask for."""
    names = (JOB, ALIAS, f"{team.namespace}/{JOB}", f"{team.namespace}/{ALIAS}")
    rivals.apply_job(TRAP, aliases=list(names))


@pytest.fixture(scope="module")
def trapped(team: Team, rivals: Team) -> Team:
    team.kubectl("patch", "diemjob", JOB, "--type=merge", f"--patch={json.dumps({'spec': {'aliases': [ALIAS]}})}")
    rivals.kubectl("delete", "diemjob", JOB)
    lay_traps(team, rivals)
    return team


def check_owner(team: Team, rivals: Team, job_id: str, *, token: str | None = None) -> None:
    """Start and stop what the id means; only the team's own job may have changed."""
    before = team.read_run()

    started = team.ask("start", job_id=job_id, token=token)
    stopped = team.ask("stop", job_id=job_id, token=token)

    assert (started.status, stopped.status) == (200, 200)
    after = team.read_run()
    assert after is not None
    assert after != before
    assert after["id"] == started.problem["run"]["id"]
    assert rivals.read_run(TRAP) is None


@pytest.mark.parametrize("is_qualified", [False, True], ids=["plain", "with namespace"])
@pytest.mark.parametrize("name", [JOB, ALIAS])
def test_callers_reach_their_own_job(trapped: Team, rivals: Team, name: str, *, is_qualified: bool) -> None:
    check_owner(trapped, rivals, f"{trapped.namespace}/{name}" if is_qualified else name)


def test_rivals_reach_their_job_by_its_plain_aliases_alone(trapped: Team, rivals: Team) -> None:
    statuses = {job_id: rivals.ask("status", job_id=job_id).status for job_id in (JOB, ALIAS, TRAP)}
    assert statuses == {JOB: 200, ALIAS: 200, TRAP: 200}

    for job_id in (f"{trapped.namespace}/{JOB}", f"{trapped.namespace}/{ALIAS}"):
        assert rivals.ask("status", job_id=job_id).status == 404


@pytest.fixture(scope="module")
def sharing(
    cluster: LocalCluster, api_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AttackedApi, Team, Team]]:
    """An API that opens the rivals' namespace to the team's keys, too."""
    names = [f"team-{secrets.token_hex(4)}" for _ in range(2)]
    tenants = json.dumps({names[0]: {"namespaces": [names[1]]}})
    directory = tmp_path_factory.mktemp("sharing")
    with (
        attacked_api(cluster, api_kubeconfig, directory, f"--tenants={tenants}") as api,
        new_team(api, namespace=names[0], aliases=[ALIAS]) as team,
        new_team(api, namespace=names[1]) as rivals,
    ):
        rivals.kubectl("delete", "diemjob", JOB)
        lay_traps(team, rivals)
        yield api, team, rivals


@pytest.mark.parametrize("is_qualified", [False, True], ids=["plain", "with namespace"])
@pytest.mark.parametrize("name", [JOB, ALIAS])
def test_key_of_two_namespaces_reaches_the_one_it_names(
    sharing: tuple[AttackedApi, Team, Team], name: str, *, is_qualified: bool
) -> None:
    _, team, rivals = sharing
    check_owner(team, rivals, f"{team.namespace}/{name}" if is_qualified else name)


def test_alias_with_a_namespace_is_reached_behind_its_own_namespace_only(
    sharing: tuple[AttackedApi, Team, Team],
) -> None:
    _, team, rivals = sharing
    trap = team.ask("status", job_id=f"{rivals.namespace}/{team.namespace}/{JOB}")
    assert trap.status == 200

    narrow = team.add_key(jobs=[f"{team.namespace}/*"])
    assert team.ask("status", token=narrow).status == 200
    for job_id in (f"{rivals.namespace}/{team.namespace}/{JOB}", f"{rivals.namespace}/{TRAP}"):
        assert team.ask("status", job_id=job_id, token=narrow).status == 404


def test_alias_of_a_job_of_the_same_team_is_ambiguous_and_starts_neither(trapped: Team) -> None:
    trapped.apply_job("copycat", aliases=["twice"])
    trapped.apply_job("original")
    trapped.kubectl("patch", "diemjob", "copycat", "--type=merge", '--patch={"spec":{"aliases":["original"]}}')

    eventually("the API knows the alias", lambda: trapped.ask("status", job_id="original").status == 409)

    answer = trapped.ask("start", job_id="original")

    assert (answer.status, answer.problem["code"]) == (409, "ambiguous-id")
    assert (trapped.read_run("original"), trapped.read_run("copycat")) == (None, None)
