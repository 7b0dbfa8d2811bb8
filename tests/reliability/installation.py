"""An installation for one story: a namespace, operators with a lease and a signing key of their own, an API, a key."""

import base64
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import requests

from hack.local.installation import API_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE, apply_identities
from tests.integration.conftest import apply_crds
from tests.localcluster import LocalCluster, NodeKind
from tests.reliability.kube import Kube
from tests.reliability.processes import Program, write_kubeconfig
from tests.reliability.proxy import ProxyFarm
from tests.reliability.waiting import eventually

KEY = "caller"
LONGEST_DISTURBANCE_SECONDS = 240.0


@dataclass(kw_only=True)
class Installation:
    """One namespace and the processes that serve it.

    Attributes:
        operators: in the order of their start; the first leads at first.
        token: opens every DiemJob of the namespace.
        disturbances: what goes on beside the story.
    """

    namespace: str
    kube: Kube
    farm: ProxyFarm
    operators: list[Program] = field(default_factory=list)
    api: Program
    token: str = ""
    disturbances: list[Future[None]] = field(default_factory=list)

    @property
    def operator(self) -> Program:
        return self.operators[0]

    @property
    def programs(self) -> list[Program]:
        return [*self.operators, self.api]

    def begin(self) -> None:
        """Start everything, make the key, and return when callers are served."""
        self.operator.start()
        self.kube.create("diemapikeys", self.namespace, make_key(KEY))
        if self.operators[1:]:
            eventually("the first operator leads", lambda: self.operator.is_leader)
        for program in [*self.operators[1:], self.api]:
            program.start()
        self.wait_served()
        for program in self.programs:
            program.proxy.begin_count()

    def wait_served(self) -> None:
        """Return when the key opens something."""
        eventually("the key is issued", self._read_token)
        self.api.wait_ready()
        for operator in self.operators:
            operator.wait_ready()
        eventually("the key is known to the API", self.is_let_in)

    def is_let_in(self) -> bool:
        """Whether the key opens the API; what it asks for does not exist."""
        url = f"http://127.0.0.1:{self.api.port}/etl-mgr/api/apijob"
        try:
            answer = requests.post(url, json={"id": "none"}, headers={"x-api-key": self.token}, timeout=5)
        except requests.RequestException:
            return False
        return answer.status_code == HTTPStatus.NOT_FOUND

    def _read_token(self) -> bool:
        self.token = find_token(self.kube, self.namespace, KEY)
        return bool(self.token)

    def disturb(self, deed: Callable[[], None]) -> None:
        """Let something happen beside the story; its end waits for it."""
        disturbance: Future[None] = Future()

        def carry_out() -> None:
            try:
                deed()
            except BaseException as error:  # noqa: BLE001 - is raised where the story waits for it
                disturbance.set_exception(error)
            else:
                disturbance.set_result(None)

        self.disturbances.append(disturbance)
        threading.Thread(target=carry_out, name="disturbance", daemon=True).start()

    def wait_disturbed(self) -> None:
        """Return when everything that disturbs is over, and raise what went wrong with it."""
        for disturbance in self.disturbances:
            disturbance.result(timeout=LONGEST_DISTURBANCE_SECONDS)

    def end(self) -> None:
        """Stop everything; what a crash would leave does not matter any more."""
        for program in self.programs:
            program.stop(is_killed=True)


class Site:
    """Where installations are made: one cluster, and proxies in front of it."""

    def __init__(self, cluster: LocalCluster, directory: Path) -> None:
        self.cluster = cluster
        self.kube = Kube(cluster)
        self.directory = directory
        self.farm = ProxyFarm(cluster, directory / "proxies")
        apply_identities(cluster)
        _allow_more(self.kube)
        self._tokens = {account: _create_token(cluster, account) for account in (OPERATOR_ACCOUNT, API_ACCOUNT)}

    @contextmanager
    def install(
        self,
        *,
        operators: int = 1,
        arguments: Sequence[str] = (),
        api_arguments: Sequence[str] = (),
        is_direct: bool = False,
    ) -> Iterator[Installation]:
        """Make a namespace and processes, not yet started; take everything away at the end.

        Args:
            operators: how many replicas.
            arguments: more flags of the operators.
            api_arguments: more flags of the API.
            is_direct: no proxy between them and the API server, as its own work would be measured too.
        """
        name = f"story-{uuid4().hex[:8]}"
        with ExitStack() as stack:
            self.kube.create("namespaces", "", {"metadata": {"name": name}})
            stack.callback(self.kube.delete, "namespaces", "", name)
            self.kube.create("secrets", SYSTEM_NAMESPACE, {"metadata": {"name": name}})
            stack.callback(self.kube.delete, "secrets", SYSTEM_NAMESPACE, name)
            flags = (f"--namespace={name}", *arguments, f"--lease-name={name}", f"--signing-secret={name}")
            replicas = [
                self._prepare(stack, f"operator-{place + 1}-{name}", "operator", flags, is_direct=is_direct)
                for place in range(operators)
            ]
            api_flags = (f"--namespace={name}", *api_arguments)
            api = self._prepare(stack, f"api-{name}", "api", api_flags, is_direct=is_direct)
            installation = Installation(namespace=name, kube=self.kube, farm=self.farm, operators=replicas, api=api)
            stack.callback(installation.end)
            yield installation

    @contextmanager
    def add_api(self, installation: Installation, *, is_direct: bool = False) -> Iterator[Program]:
        """Prepare another replica of an installation's API; it ends with the block."""
        with ExitStack() as stack:
            name = f"{installation.api.name}-{uuid4().hex[:4]}"
            program = self._prepare(stack, name, "api", installation.api.arguments, is_direct=is_direct)
            stack.callback(program.stop, is_killed=True)
            yield program

    def _prepare(
        self, stack: ExitStack, name: str, role: str, flags: Sequence[str], *, is_direct: bool = False
    ) -> Program:
        directory = self.directory / name
        directory.mkdir(parents=True)
        proxy = self.farm.open(name)
        stack.callback(self.farm.close, proxy)
        program = Program(name=name, role=role, proxy=proxy, arguments=flags, directory=directory)
        account = OPERATOR_ACCOUNT if role == "operator" else API_ACCOUNT
        server, ca_file = (self.cluster.server, self.cluster.ca_file) if is_direct else ("", self.farm.ca_file)
        token = self._tokens[account]
        write_kubeconfig(program, ca_file=ca_file, token=token, namespace=SYSTEM_NAMESPACE, server=server)
        return program


@contextmanager
def open_site(directory: Path) -> Iterator[Site]:
    """Give a site with a cluster of its own, whose node is simulated."""
    with LocalCluster.start(node=NodeKind.SIMULATED) as cluster:
        apply_crds(cluster)
        site = Site(cluster, directory)
        with site.farm:
            yield site


def _allow_more(kube: Kube) -> None:
    """Let operators use a lease and a signing key each story's own; nothing else is beyond an installation's rights."""
    name = "stories"
    rules = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"]},
    ]
    metadata = {"name": name, "namespace": SYSTEM_NAMESPACE}
    subject = {"kind": "ServiceAccount", "name": OPERATOR_ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    reference = {"apiGroup": group, "kind": "Role", "name": name}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": reference}
    kube.apply("roles", SYSTEM_NAMESPACE, role)
    kube.apply("rolebindings", SYSTEM_NAMESPACE, binding | {"subjects": [subject]})


def _create_token(cluster: LocalCluster, account: str) -> str:
    return cluster.kubectl("create", "token", account, f"--namespace={SYSTEM_NAMESPACE}", "--duration=24h").strip()


def make_key(name: str) -> dict[str, object]:
    """Return a key that opens every DiemJob of its namespace."""
    spec = {"name": "Caller", "actions": ["status", "start", "stop"], "jobs": ["*"]}
    return {"apiVersion": "diem.io/v1", "kind": "DiemApiKey", "metadata": {"name": name}, "spec": spec}


def find_token(kube: Kube, namespace: str, key: str) -> str:
    """Return the token of a key; empty as long as it is not issued."""
    status = kube.get("diemapikeys", namespace, key).get("status", {})
    if "tokenSHA256" not in status:
        return ""
    secret = kube.get("secrets", namespace, status["secretName"])
    return base64.b64decode(secret["data"]["token"]).decode()
