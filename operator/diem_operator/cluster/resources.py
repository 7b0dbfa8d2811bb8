"""Which kinds of resources this product touches, and with which verbs: what is not here, we do not do."""

from typing import Final, Literal, TypeVar

import msgspec

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.endpoint import JSON_PATCH, MERGE_PATCH, Endpoint
from diem_operator.cluster.errors import Conflict, Invalid, UndecodableAnswer
from diem_operator.cluster.paths import ResourceType
from diem_operator.cluster.watch import place_of
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.event import Event
from diem_operator.model.job import Job
from diem_operator.model.lease import Lease
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import API_VERSION, DIEMAPIKEY_PLURAL, DIEMJOB_PLURAL, Uid
from diem_operator.model.pod import Pod
from diem_operator.model.secret import IssuedToken, Secret

DIEMJOBS: Final = ResourceType(group_path=f"/apis/{API_VERSION}", plural=DIEMJOB_PLURAL)
DIEMAPIKEYS: Final = ResourceType(group_path=f"/apis/{API_VERSION}", plural=DIEMAPIKEY_PLURAL)
JOBS: Final = ResourceType(group_path="/apis/batch/v1", plural="jobs")
PODS: Final = ResourceType(group_path="/api/v1", plural="pods")
EVENTS: Final = ResourceType(group_path="/api/v1", plural="events")
SECRETS: Final = ResourceType(group_path="/api/v1", plural="secrets")
SERVICE_ACCOUNTS: Final = ResourceType(group_path="/api/v1", plural="serviceaccounts")
LEASES: Final = ResourceType(group_path="/apis/coordination.k8s.io/v1", plural="leases")

T = TypeVar("T")

Propagation = Literal["Foreground", "Background"]


class Cluster:
    """Every resource we use, at one API server; all methods raise `ClusterError`s."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.diemjobs = DiemJobs(server, DIEMJOBS, DiemJob)
        self.apikeys = DiemApiKeys(server, DIEMAPIKEYS, DiemApiKey)
        self.jobs = Jobs(server, JOBS, Job)
        self.pods = Pods(server)
        self.events = Events(server, EVENTS, Event)
        self.secrets = Secrets(server)
        self.leases = Leases(server, LEASES, Lease)
        self.service_accounts = ServiceAccounts(server)

    async def close(self) -> None:
        """Close the session with the API server."""
        await self.server.close()


class WithStatus(Endpoint[T]):
    """A kind whose status is ours to write."""

    async def patch_status(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> T:
        """Merge a patch into the status, and into nothing else.

        Raises:
            Conflict: the object has changed since the resourceVersion in the patch.
            ValueError: the patch has no `metadata.resourceVersion`; a blind one could undo another writer's facts.
        """
        if not patch.get("metadata", {}).get("resourceVersion"):
            raise ValueError(f"The status patch of {key} lacks metadata.resourceVersion; add the one it was decided on")
        return await self._patch(
            key, patch, content_type=MERGE_PATCH, timeout_seconds=timeout_seconds, subresource="status"
        )


class DiemJobs(WithStatus[DiemJob]):
    """DiemJobs: read, watch, patch."""

    async def patch(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> DiemJob:
        """Merge a patch into metadata and spec."""
        return await self._patch(key, patch, content_type=MERGE_PATCH, timeout_seconds=timeout_seconds)

    async def patch_json(self, key: ObjectKey, operations: list[RawObject], *, timeout_seconds: float) -> DiemJob:
        """Apply a JSON Patch (RFC 6902), all of it or nothing.

        Raises:
            Conflict: a `test` failed or a path is gone: the object is not what the patch was decided on.
            Invalid: the patched object would break a rule.
        """
        try:
            return await self._patch(key, operations, content_type=JSON_PATCH, timeout_seconds=timeout_seconds)
        except Invalid as error:
            if error.causes:
                raise
            # The API server answers 422 for a failed test too, but names no field then.
            raise Conflict(str(error), reason=error.reason, message=error.message) from error


class DiemApiKeys(WithStatus[DiemApiKey]):
    """DiemApiKeys: read, watch, patch the status."""


class Jobs(Endpoint[Job]):
    """batch/v1 Jobs: read, create, delete."""

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> Job:
        """Create a Job.

        Raises:
            AlreadyExists: perhaps by an earlier try whose outcome was unknown.
            Forbidden: among others a quota, or the namespace is being deleted (`causes`).
        """
        return await self._create(namespace, manifest, timeout_seconds=timeout_seconds)

    async def delete(
        self,
        key: ObjectKey,
        *,
        uid: Uid,
        resource_version: str | None,
        propagation: Propagation,
        timeout_seconds: float,
    ) -> Job | None:
        """Delete exactly the Job that was seen; Foreground keeps it until its pods are gone.

        Returns:
            The Job as it goes on existing while it is being deleted; None when it is gone at once.

        Raises:
            Conflict: it is another one by now, or (with `resource_version`) it has changed.
            NotFound: it is gone already.
        """
        preconditions = {"uid": uid} | ({} if resource_version is None else {"resourceVersion": resource_version})
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        path = JOBS.item(key.namespace, key.name)
        body = await self._server.request("DELETE", path, body=options, timeout_seconds=timeout_seconds)
        return _decode_remaining(path, body)


class Pods:
    """Pods: read only."""

    def __init__(self, server: ApiServer) -> None:
        self._endpoint = Endpoint(server, PODS, Pod)

    async def list(self, namespace: str, *, label_selector: str) -> tuple[Pod, ...]:
        """Return the pods in a namespace that a selector chooses."""
        return (await self._endpoint.list(namespace, label_selector=label_selector)).items


class Events(Endpoint[Event]):
    """core/v1 Events: those about one object, and our own."""

    async def list_for(self, namespace: str, *, kind: str, name: str, uid: str) -> tuple[Event, ...]:
        """Return the Events about one object; the API server keeps them an hour by default."""
        about = f"involvedObject.kind={kind},involvedObject.name={name},involvedObject.uid={uid}"
        return (await self.list(namespace, field_selector=about)).items

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> Event:
        """Create an Event."""
        return await self._create(namespace, manifest, timeout_seconds=timeout_seconds)


class Secrets:
    """Secrets: create, and read or fill one by name; never list or watch, that would be reading everybody's."""

    def __init__(self, server: ApiServer) -> None:
        self._endpoint = Endpoint(server, SECRETS, Secret)
        self._server = server

    async def get(self, key: ObjectKey) -> Secret:
        """Return one Secret; for the signing secret in the operator's own namespace."""
        return await self._endpoint.get(key)

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> None:
        """Create a Secret; what the server sends back is not looked at."""
        path = SECRETS.collection(namespace)
        await self._server.request("POST", path, body=manifest, timeout_seconds=timeout_seconds)

    async def patch(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> None:
        """Merge a patch into one Secret; what the server sends back is not looked at.

        Raises:
            Conflict: it has changed since the resourceVersion in the patch.
        """
        path = SECRETS.item(key.namespace, key.name)
        await self._server.request("PATCH", path, body=patch, content_type=MERGE_PATCH, timeout_seconds=timeout_seconds)


class Leases(Endpoint[Lease]):
    """coordination.k8s.io/v1 Leases: read, create, replace."""

    async def create(self, namespace: str, lease: Lease, *, timeout_seconds: float) -> Lease:
        """Create a Lease.

        Raises:
            AlreadyExists: somebody else was faster.
        """
        return await self._create(namespace, _lease_manifest(lease), timeout_seconds=timeout_seconds)

    async def update(self, lease: Lease, *, timeout_seconds: float) -> Lease:
        """Replace a Lease, if it is still the one whose resourceVersion `lease` carries.

        Raises:
            Conflict: it is not.
        """
        return await self._replace(lease.key, _lease_manifest(lease), timeout_seconds=timeout_seconds)


class ServiceAccounts:
    """ServiceAccounts: only tokens for them."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def create_token(self, key: ObjectKey, *, lifetime_seconds: int, timeout_seconds: float) -> IssuedToken:
        """Return a new token of another ServiceAccount; the server may choose another lifetime than asked for.

        Raises:
            UndecodableAnswer: there is no token in the answer.
        """
        path = SERVICE_ACCOUNTS.item(key.namespace, key.name, subresource="token")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": lifetime_seconds},
        }
        body = await self._server.request("POST", path, body=request, timeout_seconds=timeout_seconds)
        try:
            return msgspec.json.decode(body, type=TokenAnswer).status
        except msgspec.MsgspecError:
            # Not chained: the decoder's error could quote the token.
            raise UndecodableAnswer(f"POST {path}: the answer holds no token; look at the API server's log") from None


class TokenAnswer(msgspec.Struct, frozen=True):
    """An answered TokenRequest."""

    status: IssuedToken

    def __repr__(self) -> str:
        return "TokenAnswer(…)"


def _decode_remaining(path: str, body: bytes) -> Job | None:
    """Read the answer to a DELETE: the object while it still exists, else a Status."""
    try:
        is_gone = msgspec.json.decode(body, type=Typed).kind != "Job"
        return None if is_gone else msgspec.json.decode(body, type=Job)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        problem = f"the answer is neither a Job nor a Status, {place_of(error)}"
        raise UndecodableAnswer(f"DELETE {path}: {problem}; read the Job to see what became of it") from None


class Typed(msgspec.Struct, frozen=True):
    """Any object, of which only the kind matters."""

    kind: str = ""


def _lease_manifest(lease: Lease) -> RawObject:
    body: RawObject = msgspec.to_builtins(lease)
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body}
