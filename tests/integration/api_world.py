"""The HTTP API in front of a real API server, with the rights that manifests/ give it, and the operator played."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry

from diem_operator.access.tokens import hash_token
from diem_operator.api.app import build_app
from diem_operator.api.endpoint import PATH
from diem_operator.api.serving import serving
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.cluster.resources import Cluster
from diem_operator.metrics import ApiMetrics
from diem_operator.model.diemjob import DiemJob, Phase
from diem_operator.model.metadata import ObjectKey
from diem_operator.settings import ApiSettings
from tests.integration.manifests import make_apikey, make_diemjob, with_field
from tests.unit.api.objects import observe_run

TIMEOUT_SECONDS = 10.0
JOB = "nightly-load"
QUICK = ApiSettings(host="127.0.0.1", port=0, drain_seconds=0.0, shutdown_seconds=1.0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body["message"])


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Cluster]:
    """Talk to the API server with the rights of a kubeconfig."""
    cluster = Cluster(ApiServer(from_kubeconfig(environ={"KUBECONFIG": str(kubeconfig)})))
    try:
        yield cluster
    finally:
        await cluster.close()


@dataclass(frozen=True, kw_only=True)
class ApiWorld:
    """One namespace, a key that opens all DiemJobs in it, and replicas of the API; `admin` may do everything."""

    namespace: str
    admin: Cluster
    ports: tuple[int, ...]
    session: aiohttp.ClientSession
    token: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(namespace=self.namespace, name=JOB)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}{PATH}"

    # What a caller does.

    async def ask(
        self,
        action: str | None,
        *,
        job_id: str = JOB,
        replica: int = 0,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> Answer:
        body = {"id": job_id} | ({} if action is None else {"action": action}) | fields
        given = {"x-api-key": self.token if token is None else token, "Content-Type": "application/json"}
        return await self.send(json.dumps(body).encode(), given | dict(headers or {}), replica=replica)

    async def send(self, body: bytes, headers: Mapping[str, str], *, replica: int = 0) -> Answer:
        url = f"http://127.0.0.1:{self.ports[replica]}{PATH}"
        async with self.session.post(url, data=body, headers=headers) as response:
            return Answer(
                status=response.status, headers=response.headers.copy(), body=json.loads(await response.text())
            )

    # What people and the operator do.

    async def apply_job(self, *, name: str = JOB, finalizers: tuple[str, ...] = (), **spec: object) -> DiemJob:
        manifest = with_field(make_diemjob(**spec), ("metadata", "name"), name)
        manifest = with_field(manifest, ("metadata", "finalizers"), list(finalizers))
        body = await self._post("diemjobs", manifest)
        diemjob = msgspec.json.decode(body, type=DiemJob)
        await self._known(diemjob)
        return diemjob

    async def apply_key(self, *, name: str, token: str, **spec: object) -> ObjectKey:
        """Make a DiemApiKey and write the status that the operator writes for this token."""
        key = await self.post_key(name=name, **spec)
        stored = await self.admin.apikeys.get(key)
        secret_name = {} if stored.spec.adopt_token_sha256 else {"secretName": f"{name}-secret"}
        status = {"keyId": stored.metadata.uid, "tokenSHA256": hash_token(token)} | secret_name
        await self.admin.apikeys.patch_status(
            key,
            {"metadata": {"resourceVersion": stored.metadata.resource_version}, "status": status},
            timeout_seconds=TIMEOUT_SECONDS,
        )
        return key

    async def post_key(self, *, name: str, **spec: object) -> ObjectKey:
        """Make a DiemApiKey, as a person does; it may do everything unless the spec says otherwise."""
        allowed = {"actions": ["status", "start", "stop"]} | spec
        await self._post("diemapikeys", with_field(make_apikey(**allowed), ("metadata", "name"), name))
        return ObjectKey(namespace=self.namespace, name=name)

    async def add_key(self, **spec: object) -> str:
        """Make another key and return its token, once the API knows it."""
        token = secrets.token_urlsafe()
        await self.apply_key(name=f"key-{secrets.token_hex(4)}", token=token, **spec)
        await self.reach(401, token=token, is_wanted=False)
        return token

    async def operate(self, phase: Phase, *, number: int = 1) -> DiemJob:
        """Write the status that the operator writes when the run of `spec.run` has come into a phase."""
        stored = await self.admin.diemjobs.get(self.key)
        status = msgspec.to_builtins(observe_run(stored, phase, number=number))
        patch = {"metadata": {"resourceVersion": stored.metadata.resource_version}, "status": status}
        return await self.admin.diemjobs.patch_status(self.key, patch, timeout_seconds=TIMEOUT_SECONDS)

    async def change(self, patch: dict[str, Any]) -> DiemJob:
        """Do what `kubectl patch` does."""
        return await self.admin.diemjobs.patch(self.key, patch, timeout_seconds=TIMEOUT_SECONDS)

    async def stored(self) -> DiemJob:
        return await self.admin.diemjobs.get(self.key)

    async def reach(self, status: int, *, is_wanted: bool = True, job_id: str = JOB, token: str | None = None) -> None:
        """Ask every replica for the status until its HTTP status is this one, or is no longer."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            for replica in range(len(self.ports)):
                while True:
                    answer = await self.ask("status", job_id=job_id, token=token, replica=replica)
                    if (answer.status == status) is is_wanted:
                        break
                    await asyncio.sleep(0.005)

    async def see(self, message: str, *, replica: int = 0) -> Answer:
        """Ask for the status until it is this one."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while (answer := await self.ask("status", replica=replica)).message != message:  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0.005)
        return answer

    async def _known(self, diemjob: DiemJob) -> None:
        await self.reach(404, is_wanted=False, job_id=diemjob.metadata.name)

    async def _post(self, plural: str, manifest: dict[str, Any]) -> bytes:
        path = f"/apis/diem.io/v1/namespaces/{self.namespace}/{plural}"
        return await self.admin.server.request("POST", path, body=manifest, timeout_seconds=TIMEOUT_SECONDS)


def make_namespace_name() -> str:
    return f"test-{secrets.token_hex(4)}"


@asynccontextmanager
async def new_namespace(admin: Cluster, name: str) -> AsyncIterator[None]:
    """Create a namespace; its deletion is asked for at the end, and not waited for."""
    path = "/api/v1/namespaces"
    await admin.server.request("POST", path, body={"metadata": {"name": name}}, timeout_seconds=TIMEOUT_SECONDS)
    yield
    await admin.server.request("DELETE", f"{path}/{name}", timeout_seconds=TIMEOUT_SECONDS)


@asynccontextmanager
async def api_world(
    *, admin: Path, api: Path, namespace: str = "", settings: ApiSettings = QUICK, replicas: int = 1
) -> AsyncIterator[ApiWorld]:
    """Serve the API with the rights of one kubeconfig, and give a new namespace with the rights of the other."""
    name = namespace or make_namespace_name()
    async with AsyncExitStack() as stack:
        administrator = await stack.enter_async_context(connected(admin))
        await stack.enter_async_context(new_namespace(administrator, name))
        session = await stack.enter_async_context(aiohttp.ClientSession(skip_auto_headers=["Content-Type"]))
        ports = []
        for _ in range(replicas):
            cluster = await stack.enter_async_context(connected(api))
            metrics = ApiMetrics(CollectorRegistry())
            app = build_app(cluster, settings, metrics=metrics)
            served = await stack.enter_async_context(serving(app, settings))
            ports.append(served.port)
        world = ApiWorld(
            namespace=name,
            admin=administrator,
            ports=tuple(ports),
            session=session,
            token=secrets.token_urlsafe(),
        )
        await world.apply_key(name="caller", token=world.token)
        await world.reach(404)
        yield world
