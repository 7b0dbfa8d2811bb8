"""Operator and API that serve two teams by Roles, and what the loss of one team's Role means to the other."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from diem_operator.api.app import build_app
from diem_operator.api.endpoint import PATH
from diem_operator.api.serving import serving
from diem_operator.metrics import ApiMetrics
from diem_operator.settings import ApiSettings
from hack.local.installation import MANIFESTS
from tests.integration.api_world import connected
from tests.integration.identities import API_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE
from tests.integration.manifests import make_apikey, make_diemjob
from tests.integration.namespaced import Namespaced
from tests.integration.operator_process import OperatorProcess, running_operator
from tests.integration.tcp_relay import TcpRelay, relay_to
from tests.localcluster import LocalCluster
from tests.localcluster.kubeconfig import write_token_kubeconfig

JOB = "nightly-load"
UNCONFIRMED_SECONDS = 10.0
"""A refusal is told from one of a moment in eight at most."""

BACK_SECONDS = 15.0
"""What is refused is asked for again after five at most."""

_IDENTITIES = ("namespace", "serviceaccounts", "rbac", "lease", "secret")


@dataclass(frozen=True, kw_only=True)
class Team:
    """A namespace that is served, by the rights that the chart gives there."""

    here: Namespaced
    system: str

    def set_up(self) -> None:
        """Give the rights, a DiemJob and a key."""
        self.grant()
        self.here.apply(make_diemjob())
        self.add_key("caller")

    def grant(self) -> None:
        rights = (MANIFESTS / "overlays/namespaced/rbac.yaml").read_text().replace("team-a", self.here.name)
        self.here.kubectl("apply", "--filename", "-", input=rights.replace(SYSTEM_NAMESPACE, self.system))

    def take_away(self) -> None:
        self.here.kubectl("delete", "rolebindings", "--all")

    def add_key(self, name: str) -> None:
        manifest = make_apikey(actions=["status", "start", "stop"])
        self.here.apply(manifest | {"metadata": {"name": name}})

    def find_token(self, name: str) -> str:
        """Return the token of a key; empty as long as it is not issued."""
        status = json.loads(self.here.kubectl("get", "diemapikey", name, "--output=json")).get("status", {})
        if "tokenSHA256" not in status:
            return ""
        secret = json.loads(self.here.kubectl("get", "secret", status["secretName"], "--output=json"))
        return base64.b64decode(secret["data"]["token"]).decode()

    def has_job(self) -> bool:
        return JOB in self.here.kubectl("get", "jobs", "--output=name")


@dataclass(frozen=True, kw_only=True)
class Api:
    """One process of the API, which runs in this one."""

    port: int
    session: aiohttp.ClientSession

    async def is_ready(self) -> bool:
        async with self.session.get(f"http://127.0.0.1:{self.port}/readyz") as response:
            return response.status == 200

    async def ask(self, token: str, action: str = "status") -> tuple[int, dict[str, Any]]:
        url, body = f"http://127.0.0.1:{self.port}{PATH}", {"id": JOB, "action": action}
        async with self.session.post(url, json=body, headers={"x-api-key": token}) as response:
            return response.status, json.loads(await response.text())

    async def reach(self, token: str, status: int, code: str | None = None) -> None:
        """Ask until the answer has this status and, if it is a problem, this code."""
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                answer = await self.ask(token)
                if (answer[0], answer[1].get("code")) == (status, code):
                    return
                await asyncio.sleep(0.05)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Two teams, and the way of all processes to the API server."""

    staying: Team
    refused: Team
    system: str
    relay: TcpRelay
    directory: Path
    kubeconfigs: dict[str, Path]

    @property
    def namespaces(self) -> tuple[str, str]:
        return (self.staying.here.name, self.refused.here.name)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[OperatorProcess]:
        """Run an operator, until the end of the block at the latest; this loop carries what it sends."""
        flags = [f"--namespace={name}" for name in self.namespaces]
        flags.append(f"--operator-namespace={self.system}")
        with running_operator(self.kubeconfigs[OPERATOR_ACCOUNT], self.directory, *flags) as operator:
            try:
                await asyncio.to_thread(operator.wait_leading)
                await asyncio.to_thread(operator.wait_ready)
                yield operator
            finally:
                await asyncio.to_thread(operator.terminate)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """Serve the API, which lists the keys each second, so that ten suffice to doubt them."""
        settings = ApiSettings(
            host="127.0.0.1",
            port=0,
            namespaces=self.namespaces,
            resync_seconds=1.0,
            max_unconfirmed_seconds=UNCONFIRMED_SECONDS,
            drain_seconds=0.0,
            shutdown_seconds=1.0,
        )
        async with (
            connected(self.kubeconfigs[API_ACCOUNT]) as cluster,
            aiohttp.ClientSession() as session,
            serving(build_app(cluster, settings, metrics=ApiMetrics(CollectorRegistry())), settings) as served,
        ):
            api = Api(port=served.port, session=session)
            async with asyncio.timeout(BACK_SECONDS):
                while not await api.is_ready():  # noqa: ASYNC110 - it is a poll
                    await asyncio.sleep(0.05)
            yield api

    async def find_tokens(self) -> tuple[str, str]:
        """Return the tokens of both teams, once they are issued."""
        return (
            await eventually("the one key is issued", lambda: self.staying.find_token("caller")),
            await eventually("the other key is issued", lambda: self.refused.find_token("caller")),
        )

    def end_watches(self) -> None:
        """Let every watch begin anew, as it does within 45 seconds anyway."""
        self.relay.cut()
        self.relay.mend()


@pytest.fixture
def teams(cluster: LocalCluster) -> Iterator[tuple[Team, Team]]:
    system = f"system-{uuid4().hex[:8]}"
    manifests = [(MANIFESTS / f"base/{name}.yaml").read_text() for name in _IDENTITIES]
    identities = "\n---\n".join(manifests).replace(SYSTEM_NAMESPACE, system)
    cluster.kubectl("apply", "--filename", "-", input=identities)
    names = [f"team-{uuid4().hex[:8]}" for _ in range(2)]
    for name in names:
        cluster.kubectl("create", "namespace", name)
    staying, refused = (Team(here=Namespaced(cluster=cluster, name=name), system=system) for name in names)
    yield staying, refused
    cluster.kubectl("delete", "namespace", *names, "--wait=false")
    cluster.kubectl("delete", "--wait=false", "--filename", "-", input=identities)


@pytest.fixture
async def site(cluster: LocalCluster, teams: tuple[Team, Team], tmp_path: Path) -> AsyncIterator[Site]:
    port = urlsplit(cluster.server).port
    assert port is not None
    staying, refused = teams
    for team in teams:
        team.set_up()
    async with relay_to(port) as relay:
        kubeconfigs = {}
        for account in (OPERATOR_ACCOUNT, API_ACCOUNT):
            token = cluster.kubectl("create", "token", account, f"--namespace={staying.system}")
            kubeconfigs[account] = write_token_kubeconfig(
                tmp_path / f"{account}.kubeconfig",
                server=f"https://127.0.0.1:{relay.port}",
                ca_file=cluster.ca_file,
                token=token.strip(),
                namespace=staying.system,
            )
        yield Site(
            staying=staying,
            refused=refused,
            system=staying.system,
            relay=relay,
            directory=tmp_path,
            kubeconfigs=kubeconfigs,
        )


async def eventually(what: str, holds: Callable[[], Any], *, within_seconds: float = BACK_SECONDS) -> Any:
    """Return what holds, as soon as it does; the loop goes on meanwhile."""
    try:
        async with asyncio.timeout(within_seconds):
            while not (found := await asyncio.to_thread(holds)):  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"Not within {within_seconds} s: {what}") from None
    return found


async def check_serves(api: Api, team: Team, token: str) -> None:
    """Start a run over HTTP, see the operator make its Job, and stop it."""
    await api.reach(token, 200)
    status, answer = await api.ask(token, "start")
    assert (status, answer["message"]) == (200, "job started")
    await eventually("the run has a Job", team.has_job)
    assert (await api.ask(token, "stop"))[0] == 200
    await eventually("the Job is gone", lambda: not team.has_job())


async def check_issues(team: Team, name: str) -> None:
    """Make another key, and see the operator issue its token."""
    team.add_key(name)
    await eventually("a new key is issued", lambda: team.find_token(name))


async def check_others_are_served(site: Site, operator: OperatorProcess, api: Api, token: str, key: str) -> None:
    await eventually("the operator is ready", lambda: operator.ask("/readyz")[0] == 200)
    await check_serves(api, site.staying, token)
    await check_issues(site.staying, key)
    assert (await api.ask("nonsense"))[0] == 401
    for _ in range(20):
        assert await asyncio.to_thread(operator.ask, "/readyz") == (200, "ok\n")
        assert await api.is_ready()
        await asyncio.sleep(0.1)


async def check_is_back(site: Site, api: Api, token: str, key: str) -> None:
    await check_serves(api, site.refused, token)
    await check_issues(site.refused, key)


async def test_team_that_loses_its_role_concerns_itself_alone(site: Site) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(site.operator())
        api = await stack.enter_async_context(site.api())
        staying, refused = await site.find_tokens()
        await check_serves(api, site.staying, staying)
        await check_serves(api, site.refused, refused)

        site.refused.take_away()
        site.end_watches()

        await api.reach(refused, 503, "not-ready")
        await check_others_are_served(site, first, api, staying, "while-refused")

        site.refused.grant()

        await check_is_back(site, api, refused, "when-back")
        assert first.process.poll() is None


async def test_team_whose_namespace_is_deleted_concerns_itself_alone_and_may_come_back(
    site: Site, cluster: LocalCluster
) -> None:
    async with site.operator() as operator, site.api() as api:
        staying, _ = await site.find_tokens()
        await asyncio.to_thread(cluster.kubectl, "delete", "namespace", site.refused.here.name)
        site.end_watches()
        await check_others_are_served(site, operator, api, staying, "while-away")

        cluster.kubectl("create", "namespace", site.refused.here.name)
        site.refused.set_up()

        _, again = await site.find_tokens()
        await check_is_back(site, api, again, "when-back")


async def test_processes_that_start_without_a_team_s_role_serve_the_other_and_take_it_up_later(site: Site) -> None:
    async with site.operator():
        staying, refused = await site.find_tokens()
    site.refused.take_away()
    async with site.operator() as operator, site.api() as api:
        assert (await api.ask(refused))[0] == 401  # no process has seen the key
        await check_others_are_served(site, operator, api, staying, "while-refused")

        site.refused.grant()

        await check_is_back(site, api, refused, "when-back")
