"""Everything that can be set, with its default; read once at start, then passed on. Reads no environment itself."""

from pathlib import Path
from typing import Final, Literal

import msgspec

DAY_SECONDS: Final = 24 * 60 * 60

RESYNC_SECONDS: Final = 300.0
"""Between two comparisons of the caches with LISTs: they find what a watch has kept to itself."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: immutable; an unknown name is a mistake, not an extension."""


class Tenant(Settings, frozen=True, kw_only=True):
    """What the keys of one namespace get beyond that namespace.

    Attributes:
        org: the organisation named in their tokens; the namespace where empty.
        namespaces: further namespaces whose DiemJobs they open, under ids `namespace/name`.
    """

    org: str = ""
    namespaces: tuple[str, ...] = ()


class KeySettings(Settings, frozen=True, kw_only=True):
    """What the operator and the API must agree on about DiemApiKeys; both get the same values.

    Attributes:
        max_lifetime_seconds: a key ends at the latest this long after its creation; 0 for no limit.
        tenants: by the namespace that holds the keys.
    """

    max_lifetime_seconds: int = 365 * DAY_SECONDS
    tenants: dict[str, Tenant] = {}


class CertificateSettings(Settings, frozen=True, kw_only=True):
    """The PEM files of the API's own certificate: chain and private key; read again when they change."""

    certificate_file: Path
    key_file: Path


class RateSettings(Settings, frozen=True, kw_only=True):
    """How often something may happen.

    Attributes:
        per_second: in the long run; 0 for no limit.
        burst: at once, after a while without any.
    """

    per_second: float = 0.0
    burst: int = 1


class HandoverSettings(Settings, frozen=True, kw_only=True):
    """How the operator hands a token to the API beside it.

    Attributes:
        service_account: of the API, in the operator's namespace.
        file: where the API expects its token.
        lifetime_seconds: asked for; the API server allows no less than ten minutes.
    """

    service_account: str
    file: Path
    lifetime_seconds: int = 3600


class ApiSettings(Settings, frozen=True, kw_only=True):
    """The HTTP API.

    Attributes:
        certificate: plain HTTP where None.
        probe_host, probe_port: where /healthz, /readyz and /metrics are served, always as plain HTTP.
        missing_key_status: the HTTP status for requests without a key that opens anything. Old servers sent 403;
            one value for all, because nothing is known about such a caller that could choose.
        failed_keys: requests without a good key from one address (IPv6: one /64).
        key_requests: requests of one key.
        trusted_proxies: address ranges of proxies whose X-Forwarded-For is believed.
        max_connections: of callers; the one that has said nothing for the longest time makes room.
        max_operations: reads and writes of DiemJobs under way at once; each key has its turn.
        max_queued_operations: of one key; further ones are refused.
        max_queue_seconds: how long each may wait.
        namespaces: whose objects are served; all where empty.
        excluded_namespaces: DiemJobs there do not exist for callers (the operator's own namespace).
        resync_seconds: between two lists of DiemApiKeys, for what the watch may have kept to itself.
        idle_timeout_seconds: also the time within which a request's headers must have arrived.
        body_timeout_seconds: the time within which a request's body must have arrived.
        max_waiting_requests: further requests with `wait` are answered at once.
        cluster_timeout_seconds: for one request to the API server.
        max_unconfirmed_seconds: without a word from the API server about DiemApiKeys for longer than this,
            no key opens anything.
        drain_seconds: how long requests are still taken once the process is to end, until load balancers know it.
        shutdown_seconds: how long requests in flight may take after that.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a server in a pod; a NetworkPolicy says who reaches it
    port: int = 8080
    certificate: CertificateSettings | None = None
    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from outside the pod
    probe_port: int = 8082
    keys: KeySettings = KeySettings()
    missing_key_status: Literal[401, 403] = 401
    failed_keys: RateSettings = RateSettings(per_second=10, burst=100)
    key_requests: RateSettings = RateSettings(burst=100)
    trusted_proxies: tuple[str, ...] = ()
    max_connections: int = 10_000
    max_operations: int = 32
    max_queued_operations: int = 5000
    max_queue_seconds: float = 30.0
    namespaces: tuple[str, ...] = ()
    excluded_namespaces: tuple[str, ...] = ()
    resync_seconds: float = RESYNC_SECONDS
    max_body_bytes: int = 64 * 1024
    body_timeout_seconds: float = 10.0
    idle_timeout_seconds: float = 75.0
    max_wait_seconds: float = 60.0
    max_waiting_requests: int = 1000
    cluster_timeout_seconds: float = 10.0
    max_unconfirmed_seconds: float = 120.0
    drain_seconds: float = 2.0
    shutdown_seconds: float = 10.0


class LeaseSettings(Settings, frozen=True, kw_only=True):
    """The Lease that says which replica writes.

    Attributes:
        duration_seconds: after this long without a renewal another replica may take over.
        renew_seconds: between two renewals by the leader.
        poll_seconds: between two looks of a standby.
    """

    name: str = "diem-operator"
    duration_seconds: int = 6
    renew_seconds: float = 1.5
    poll_seconds: float = 0.5


class OperatorSettings(Settings, frozen=True, kw_only=True):
    """The operator.

    Attributes:
        operator_namespace: where the operator runs, with its Lease and the signing secret.
        namespaces: whose objects are served; all where empty.
        serves_own_namespace: whether DiemJobs may live beside the operator; their Jobs could use its ServiceAccount.
        workers: how many DiemJobs are worked on at the same time.
        resync_seconds: between two comparisons of what watches have told with LISTs.
        signing_secret_name: the Secret in the operator's namespace that holds the key which signs tokens.
        handover: None where the API does not run beside the operator, or has a token of its own.
    """

    operator_namespace: str
    namespaces: tuple[str, ...] = ()
    serves_own_namespace: bool = False
    workers: int = 16
    resync_seconds: float = RESYNC_SECONDS
    keys: KeySettings = KeySettings()
    signing_secret_name: str = "diem-operator-signing"  # noqa: S105 - the name of a Secret is none
    lease: LeaseSettings = LeaseSettings()
    handover: HandoverSettings | None = None
    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from outside the pod
    probe_port: int = 8081

    @property
    def excluded_namespaces(self) -> tuple[str, ...]:
        """Namespaces whose objects are not looked at, whatever else is served."""
        return () if self.serves_own_namespace else (self.operator_namespace,)


def parse_tenants(text: str) -> dict[str, Tenant]:
    """Read the tenants from JSON: `{"team-a": {"org": "leap", "namespaces": ["team-b"]}}`.

    Raises:
        msgspec.ValidationError: an entry is not of that form.
        msgspec.DecodeError: the text is no JSON.
    """
    return msgspec.json.decode(text, type=dict[str, Tenant])
