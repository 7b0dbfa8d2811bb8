"""A token that was good once, or is good for something else: ended, taken back, replaced, copied, claimed twice."""

import base64
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from diem_operator.access.tokens import hash_token
from diem_operator.clock import now
from tests.integration.operator_process import eventually
from tests.localcluster.errors import KubectlError
from tests.localcluster.kubeconfig import write_token_kubeconfig
from tests.security.tokens.forging import Loot, join
from tests.security.tokens.installation import JOB, Installation, Team
from tests.security.tokens.wire import WireAnswer, ask_with

REVOCATION_SECONDS = 2.0
"""A tenth of it is usual; machines that run tests are busy."""


@pytest.fixture
def refused(installation: Installation, refusal: WireAnswer) -> "Refused":
    return Refused(installation.api_port, refusal)


class Refused:
    """Whether a token gets the one answer."""

    def __init__(self, port: int, refusal: WireAnswer) -> None:
        self._port = port
        self._refusal = refusal

    def __call__(self, token: str) -> bool:
        return ask_with(self._port, f"x-api-key: {token}".encode()) == self._refusal


@pytest.fixture
def name() -> str:
    return f"key-{secrets.token_hex(4)}"


def format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def change_key(team: Team, name: str, **spec: object) -> None:
    team.kubectl("patch", "diemapikey", name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")


def wait_refused(refused: Refused, token: str) -> float:
    began = time.monotonic()
    eventually("the token opens nothing", lambda: refused(token), within_seconds=REVOCATION_SECONDS)
    return time.monotonic() - began


def test_token_ends_when_its_key_does(team: Team, refused: Refused, name: str) -> None:
    ends_at = now() + timedelta(seconds=6)
    token = team.issue_key(name, expiresAt=format_time(ends_at))
    assert team.ask(token).status_code == 200

    eventually("the token has expired", lambda: now() > ends_at + timedelta(seconds=0.1))
    assert refused(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert refused(join({"alg": "HS256", "typ": "JWT"}, claims | {"exp": claims["exp"] + 86400}, token.split(".")[2]))


def test_end_that_is_set_into_the_past_holds_at_once(team: Team, refused: Refused, name: str) -> None:
    token = team.issue_key(name)
    change_key(team, name, expiresAt="2020-01-01T00:00:00Z")

    wait_refused(refused, token)


@pytest.mark.parametrize(
    "ends_at",
    [
        pytest.param("2020-01-01T00:00:00x5Z", id="letter-for-the-dot"),
        pytest.param("2020-01-01T00:00:00+99:99", id="offset-of-99-hours"),
        pytest.param("0000-01-01T00:00:00Z", id="year-0"),
        pytest.param("0001-01-01T00:00:00+23:59", id="before-the-year-1-in-UTC"),
        pytest.param("9999-12-31T23:59:59-23:59", id="after-the-year-9999-in-UTC"),
    ],
)
def test_end_that_kubernetes_stores_and_hardly_anybody_can_read_closes_its_key_alone(
    team: Team, refused: Refused, loot: Loot, name: str, ends_at: str
) -> None:
    token = team.issue_key(name)
    change_key(team, name, expiresAt=ends_at)

    wait_refused(refused, token)
    assert team.ask(loot.token).status_code == 200


def test_key_that_has_ended_before_it_began_gets_no_token(team: Team, name: str) -> None:
    team.apply_key(name, expiresAt="2020-01-01T00:00:00Z")
    team.wait_for_reason(name, "Expired")

    assert "secretName" not in team.read(f"diemapikey/{name}")["status"]


def test_revoked_token_opens_nothing_and_opens_again_when_it_is_taken_back(
    team: Team, refused: Refused, name: str
) -> None:
    token = team.issue_key(name)
    change_key(team, name, revoked=True)
    wait_refused(refused, token)

    change_key(team, name, revoked=False)
    eventually("the token opens again", lambda: team.ask(token).status_code == 200)


def test_deleted_keys_token_opens_nothing(team: Team, refused: Refused, name: str) -> None:
    token = team.issue_key(name)
    team.kubectl("delete", "diemapikey", name)

    wait_refused(refused, token)


def test_key_whose_deletion_is_held_up_opens_nothing(team: Team, refused: Refused, name: str) -> None:
    token = team.issue_key(name)
    hold = '--patch={"metadata":{"finalizers":["example.com/hold"]}}'
    team.kubectl("patch", "diemapikey", name, "--type=merge", hold)
    team.kubectl("delete", "diemapikey", name, "--wait=false")
    wait_refused(refused, token)

    team.kubectl("patch", "diemapikey", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')


def test_old_token_stays_closed_when_its_key_is_made_again(team: Team, refused: Refused, name: str) -> None:
    old = team.issue_key(name)
    manifest = team.read(f"diemapikey/{name}")
    team.kubectl("delete", "diemapikey", name)
    wait_refused(refused, old)
    team.apply_key(name)
    team.wait_for_reason(name, "Issued")

    new = team.read_token(name)
    eventually("the new token opens", lambda: team.ask(new).status_code == 200)
    assert refused(old)
    # Not even with the old status written back, as a tool that restores backups does.
    copy_status(team, name, manifest["status"])
    time.sleep(0.5)  # nothing is to happen, so there is nothing to wait for
    assert refused(old)


def copy_status(team: Team, name: str, status: dict[str, object]) -> None:
    patch = json.dumps({"status": status})
    team.kubectl("patch", "diemapikey", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def test_other_teams_job_is_as_unknown_as_one_that_does_not_exist(team: Team, rivals: Team, loot: Loot) -> None:
    foreign, unknown = f"{rivals.namespace}/{JOB}", f"{rivals.namespace}/no-such"
    for action in ("status", "start", "stop"):
        answers = [team.ask(loot.token, action, job_id=job_id) for job_id in (foreign, unknown)]

        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(foreign, unknown) == answers[1].text
    assert "run" not in rivals.read(f"diemjob/{JOB}")["spec"]


def test_adopting_a_known_hash_takes_no_token_away(team: Team, rivals: Team, name: str) -> None:
    token = team.issue_key(name)
    stolen = team.read(f"diemapikey/{name}")["status"]["tokenSHA256"]
    adopt(rivals, "thief", stolen)
    rivals.wait_for_reason("thief", "DuplicateToken")

    assert team.ask(token, "start").json()["message"] in {"job started", "job already running"}
    assert "run" not in rivals.read(f"diemjob/{JOB}")["spec"]
    assert team.ask(token, job_id=f"{rivals.namespace}/{JOB}").status_code == 404
    # The thief's claim stays second even if the key is revoked: its token opens nothing then, not the thief's job.
    change_key(team, name, revoked=True)
    eventually("the token opens nothing", lambda: team.ask(token).status_code == 401)


def adopt(team: Team, name: str, token_sha256: str) -> None:
    ends_at = format_time(now() + timedelta(days=1))
    team.apply_key(name, adoptTokenSHA256=token_sha256, expiresAt=ends_at, compatibility={"missingAction": "status"})


def test_of_two_adoptions_of_a_token_the_oldest_counts(team: Team, rivals: Team, name: str) -> None:
    token = secrets.token_urlsafe()
    adopt(team, name, hash_token(token))
    team.wait_for_reason(name, "Adopted")
    time.sleep(1.1)  # creationTimestamp knows whole seconds
    adopt(rivals, name, hash_token(token))
    rivals.wait_for_reason(name, "DuplicateToken")

    assert team.ask(token, "start").status_code == 200
    assert "run" not in rivals.read(f"diemjob/{JOB}")["spec"]


def test_adopted_hash_is_opened_by_its_token_and_not_by_itself(team: Team, refused: Refused, name: str) -> None:
    token = secrets.token_urlsafe()
    adopt(team, name, hash_token(token))
    team.wait_for_reason(name, "Adopted")

    assert team.ask(token).status_code == 200
    assert refused(hash_token(token))
    assert refused(base64.b64encode(bytes.fromhex(hash_token(token))).decode())


@pytest.fixture
def team_admin(team: Team, tmp_path: Path) -> Iterator[Path]:
    """Give somebody the usual role `admin` in the team's namespace; return the way in."""
    team.kubectl("create", "serviceaccount", "admin-of-team")
    account = f"--serviceaccount={team.namespace}:admin-of-team"
    team.kubectl("create", "rolebinding", "admin-of-team", "--clusterrole=admin", account)
    token = team.kubectl("create", "token", "admin-of-team").strip()
    yield write_token_kubeconfig(
        tmp_path / "admin.kubeconfig",
        server=team.cluster.server,
        ca_file=team.cluster.ca_file,
        token=token,
        namespace=team.namespace,
    )
    team.kubectl("delete", "serviceaccount/admin-of-team", "rolebinding/admin-of-team")


def test_status_that_somebody_else_writes_opens_nothing(
    team: Team, refused: Refused, name: str, team_admin: Path
) -> None:
    token = secrets.token_urlsafe()
    status = {"keyId": "x", "secretName": "x", "tokenSHA256": hash_token(token)}
    key = {"actions": ["start"], "jobs": ["*"]}
    manifest = {
        "apiVersion": "diem.io/v1",
        "kind": "DiemApiKey",
        "metadata": {"name": name},
        "spec": key,
        "status": status,
    }
    eventually("the role knows our resources", lambda: may_create_keys(team, team_admin))
    team.cluster.kubectl("create", "--filename=-", input=json.dumps(manifest), kubeconfig=team_admin)
    team.wait_for_reason(name, "Issued")

    assert team.read(f"diemapikey/{name}")["status"]["tokenSHA256"] != hash_token(token)
    assert refused(token)
    patch = json.dumps({"status": {"tokenSHA256": hash_token(token)}})
    command = ("patch", "diemapikey", name, "--subresource=status", "--type=merge", f"--patch={patch}")
    with pytest.raises(KubectlError, match="orbidden"):
        team.cluster.kubectl(*command, kubeconfig=team_admin)


def may_create_keys(team: Team, kubeconfig: Path) -> bool:
    try:
        team.cluster.kubectl("auth", "can-i", "create", "diemapikeys", kubeconfig=kubeconfig)
    except KubectlError:
        return False
    return True


def test_status_that_names_another_object_opens_nothing(team: Team, refused: Refused, name: str) -> None:
    token = secrets.token_urlsafe()
    team.issue_key(name)
    copy_status(team, name, {"keyId": "another-uid", "secretName": "x", "tokenSHA256": hash_token(token)})
    time.sleep(0.5)  # nothing is to happen, so there is nothing to wait for

    assert refused(token)


def test_whoever_may_write_statuses_may_let_tokens_in(team: Team, refused: Refused, name: str) -> None:
    """Show that the tests above could fail, and what the right to patch diemapikeys/status is worth."""
    token = secrets.token_urlsafe()
    team.issue_key(name)
    copy_status(team, name, {"tokenSHA256": hash_token(token)})

    eventually("the token opens", lambda: not refused(token))
