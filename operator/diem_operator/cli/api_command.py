"""`diem-operator api`: flags in, settings out, and the composition of the API's process, which is short."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import click

from diem_operator.access.addresses import parse_networks
from diem_operator.cli.lifecycle import run_process
from diem_operator.cli.logs import LogFormat, configure_logging
from diem_operator.cli.options import (
    apply_all,
    connection_options,
    find_operator_namespace,
    key_options,
    load_credentials,
    log_options,
    option,
    read_key_settings,
    scope_options,
)
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.resources import Cluster
from diem_operator.metrics import ApiMetrics, build_registry
from diem_operator.probes import build_app as build_probes
from diem_operator.probes import serving
from diem_operator.settings import ApiSettings, CertificateSettings, RateSettings

logger = logging.getLogger(__name__)

DEFAULTS = ApiSettings()
WAIT_SECONDS = 0.05
SPARE_CONNECTIONS = 16
"""For the lists with which watches begin anew."""

limit_options = apply_all(
    option(
        "--failed-keys-rate",
        env="DIEM_API_FAILED_KEYS_RATE",
        type=click.FloatRange(min=0),
        default=DEFAULTS.failed_keys.per_second,
        help="Requests without a valid key that one address may send per second, on average; 0: no limit.",
    ),
    option(
        "--failed-keys-burst",
        env="DIEM_API_FAILED_KEYS_BURST",
        type=click.IntRange(min=1),
        default=DEFAULTS.failed_keys.burst,
        help="How many of them at once.",
    ),
    option(
        "--key-rate",
        env="DIEM_API_KEY_RATE",
        type=click.FloatRange(min=0),
        default=DEFAULTS.key_requests.per_second,
        help="Requests that one key may send per second, on average; 0: no limit.",
    ),
    option(
        "--key-burst",
        env="DIEM_API_KEY_BURST",
        type=click.IntRange(min=1),
        default=DEFAULTS.key_requests.burst,
        help="How many of them at once.",
    ),
    option(
        "--trusted-proxy",
        "trusted_proxies",
        env="DIEM_API_TRUSTED_PROXIES",
        multiple=True,
        help="Address range of proxies whose X-Forwarded-For is believed; repeat it for more (in the variable: "
        "separated by spaces). Default: none.",
    ),
    option(
        "--max-operations",
        env="DIEM_API_MAX_OPERATIONS",
        type=click.IntRange(min=1),
        default=DEFAULTS.max_operations,
        help="Reads and writes of DiemJobs under way at once; each key has its turn.",
    ),
    option(
        "--max-queued-operations",
        env="DIEM_API_MAX_QUEUED_OPERATIONS",
        type=click.IntRange(min=1),
        default=DEFAULTS.max_queued_operations,
        help="How many of one key may wait for their turn.",
    ),
    option(
        "--max-connections",
        env="DIEM_API_MAX_CONNECTIONS",
        type=click.IntRange(min=1),
        default=DEFAULTS.max_connections,
        help="Open connections of callers; the longest idle ones make room for more.",
    ),
)

server_options = apply_all(
    option("--host", env="DIEM_API_HOST", default=DEFAULTS.host, help="Address to listen on."),
    option("--port", env="DIEM_API_PORT", type=click.IntRange(0, 65535), default=DEFAULTS.port, help="Port."),
    option(
        "--tls-certificate-file",
        "certificate_file",
        env="DIEM_API_TLS_CERTIFICATE_FILE",
        type=click.Path(path_type=Path),
        help="PEM file of the certificate and its chain, for HTTPS; read again when it changes.",
    ),
    option(
        "--tls-key-file",
        "key_file",
        env="DIEM_API_TLS_KEY_FILE",
        type=click.Path(path_type=Path),
        help="PEM file of its private key.",
    ),
    option(
        "--probe-host",
        env="DIEM_API_PROBE_HOST",
        default=DEFAULTS.probe_host,
        help="Address that serves /healthz, /readyz and /metrics as plain HTTP.",
    ),
    option(
        "--probe-port",
        env="DIEM_API_PROBE_PORT",
        type=click.IntRange(0, 65535),
        default=DEFAULTS.probe_port,
        help="Its port.",
    ),
    option(
        "--missing-key-status",
        env="DIEM_MISSING_KEY_STATUS",
        type=click.Choice(["401", "403"]),
        default=str(DEFAULTS.missing_key_status),
        help="HTTP status for requests without a valid key; old servers sent 403.",
    ),
    option(
        "--drain",
        "drain_seconds",
        env="DIEM_API_DRAIN",
        type=click.FloatRange(min=0),
        default=DEFAULTS.drain_seconds,
        help="Seconds to go on serving after SIGTERM, until load balancers have noticed.",
    ),
    option(
        "--resync",
        "resync_seconds",
        env="DIEM_API_RESYNC",
        type=click.FloatRange(min=1),
        default=DEFAULTS.resync_seconds,
        help="Seconds between two comparisons of the keys that the watch has told with a list.",
    ),
    option(
        "--token-file",
        env="DIEM_API_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help="In a pod: file with the token of the API's own ServiceAccount, read again when it changes.",
    ),
)


@click.command()
@connection_options
@server_options
@limit_options
@scope_options
@key_options
@log_options
def api(
    kubeconfig: Path | None,
    context: str | None,
    token_file: Path | None,
    log_format: LogFormat,
    log_level: str,
    **given: Any,  # noqa: ANN401 - the options, by name
) -> None:
    """Serve the HTTP API: read, start and stop DiemJobs with a key. Every replica serves."""
    configure_logging(log_format=log_format, level=log_level)
    credentials = load_credentials(kubeconfig, context, token_file=token_file)
    settings = read_settings(credentials, **given)
    run_process(lambda _: run_api(settings, credentials, token_file=token_file))


def read_settings(credentials: Credentials, **given: Any) -> ApiSettings:  # noqa: ANN401 - the options, by name
    """Return the API's settings from its flags.

    Raises:
        click.BadParameter: a flag's value is not of the expected form, or lacks another flag.
    """
    operator_namespace = find_operator_namespace(given.pop("operator_namespace"), credentials)
    return ApiSettings(
        certificate=_read_certificate(given.pop("certificate_file"), given.pop("key_file")),
        excluded_namespaces=() if given.pop("serves_own_namespace") else (operator_namespace,),
        keys=read_key_settings(key_max_days=given.pop("key_max_days"), tenants=given.pop("tenants")),
        missing_key_status=401 if given.pop("missing_key_status") == "401" else 403,
        failed_keys=RateSettings(per_second=given.pop("failed_keys_rate"), burst=given.pop("failed_keys_burst")),
        key_requests=RateSettings(per_second=given.pop("key_rate"), burst=given.pop("key_burst")),
        trusted_proxies=_check_networks(given.pop("trusted_proxies")),
        **given,
    )


async def run_api(settings: ApiSettings, credentials: Credentials, *, token_file: Path | None = None) -> None:
    """Serve until cancelled, once the token that the operator hands over is there."""
    # Imported late: `diem-operator --help` has no use for a web server.
    from diem_operator.api.app import READY, build_app  # noqa: PLC0415
    from diem_operator.api.serving import serve  # noqa: PLC0415

    metrics = ApiMetrics(build_registry())
    cluster = Cluster(
        ApiServer(credentials, connection_limit=count_connections(settings), on_request=metrics.requests.observe)
    )
    app = build_app(cluster, settings, metrics=metrics)
    probes = build_probes(alive={}, ready=app[READY], registry=metrics.registry)
    try:
        async with serving(probes, host=settings.probe_host, port=settings.probe_port):
            await _wait_for_file(token_file)
            await serve(app, settings)
    finally:
        await cluster.close()


def count_connections(settings: ApiSettings) -> int:
    """Return how many connections with the API server are needed: two watches a namespace, and one an operation."""
    return 2 * max(1, len(settings.namespaces)) + settings.max_operations + SPARE_CONNECTIONS


async def _wait_for_file(path: Path | None) -> None:
    """Return when the file is there; None is no file to wait for."""
    if path is None or _exists(path):
        return
    logger.info("Waited for the operator to put a token into %s", path)
    while not _exists(path):  # noqa: ASYNC110 - nobody tells when it comes
        await asyncio.sleep(WAIT_SECONDS)


def _exists(path: Path) -> bool:
    return path.exists()


def _check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_networks(texts)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--trusted-proxy") from error
    return texts


def _read_certificate(certificate_file: Path | None, key_file: Path | None) -> CertificateSettings | None:
    if certificate_file is None and key_file is None:
        return None
    if certificate_file is None or key_file is None:
        raise click.BadParameter(
            "a certificate needs its key: give --tls-certificate-file and --tls-key-file, or neither for plain HTTP",
            param_hint="--tls-certificate-file",
        )
    return CertificateSettings(certificate_file=certificate_file, key_file=key_file)
