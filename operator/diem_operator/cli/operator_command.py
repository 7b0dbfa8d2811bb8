"""`diem-operator operator`: flags in, settings out."""

from pathlib import Path
from typing import Any

import click

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
from diem_operator.cluster.credentials import Credentials
from diem_operator.settings import RESYNC_SECONDS, HandoverSettings, LeaseSettings, OperatorSettings

lease_options = apply_all(
    option("--lease-name", env="DIEM_LEASE_NAME", default=LeaseSettings().name, help="The Lease that replicas share."),
    option(
        "--lease-duration",
        env="DIEM_LEASE_DURATION",
        type=click.IntRange(min=3),
        default=LeaseSettings().duration_seconds,
        help="Seconds without a renewal after which another replica takes over.",
    ),
    option(
        "--lease-renew",
        env="DIEM_LEASE_RENEW",
        type=click.FloatRange(min=0.1),
        default=LeaseSettings().renew_seconds,
        help="Seconds between two renewals; at most half the duration.",
    ),
    option(
        "--lease-poll",
        env="DIEM_LEASE_POLL",
        type=click.FloatRange(min=0.1),
        default=LeaseSettings().poll_seconds,
        help="Seconds between two looks of a standby.",
    ),
)

handover_options = apply_all(
    option(
        "--api-service-account",
        env="DIEM_API_SERVICE_ACCOUNT",
        help="The API's ServiceAccount, in the operator's namespace, to hand tokens to the API beside the operator.",
    ),
    option(
        "--api-token-file",
        env="DIEM_API_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help="Where the API finds its token.",
    ),
    option(
        "--api-token-lifetime",
        env="DIEM_API_TOKEN_LIFETIME",
        type=click.IntRange(min=600),
        default=3600,
        help="Seconds until such a token expires; it is renewed after half of that.",
    ),
)

work_options = apply_all(
    option(
        "--workers",
        env="DIEM_WORKERS",
        type=click.IntRange(min=1),
        default=16,
        help="How many DiemJobs are worked on at the same time.",
    ),
    option(
        "--resync",
        "resync_seconds",
        env="DIEM_RESYNC",
        type=click.FloatRange(min=1),
        default=RESYNC_SECONDS,
        help="Seconds between two comparisons of what watches have told with lists.",
    ),
    option(
        "--signing-secret",
        "signing_secret_name",
        env="DIEM_SIGNING_SECRET",
        default="diem-operator-signing",
        help="The Secret in the operator's namespace whose key signs tokens; made if absent.",
    ),
    option(
        "--probe-host",
        env="DIEM_PROBE_HOST",
        default="0.0.0.0",  # noqa: S104 - the kubelet and Prometheus come from outside the pod
        help="Address that serves /healthz, /readyz and /metrics.",
    ),
    option("--probe-port", env="DIEM_PROBE_PORT", type=click.IntRange(0, 65535), default=8081, help="Its port."),
)


@click.command()
@connection_options
@scope_options
@key_options
@lease_options
@handover_options
@work_options
@log_options
def operator(
    kubeconfig: Path | None,
    context: str | None,
    log_format: LogFormat,
    log_level: str,
    **given: Any,  # noqa: ANN401 - the options, by name
) -> None:
    """Run the operator: it turns DiemJobs into Jobs, and DiemApiKeys into tokens.

    Run as many replicas as you like: one leads, the others take over when it is gone.
    """
    configure_logging(log_format=log_format, level=log_level)
    credentials = load_credentials(kubeconfig, context)
    settings = read_settings(credentials, **given)

    # Imported late: the API's process has no use for kopf, and --help none for either.
    from diem_operator.cli.operator_process import OperatorProcess  # noqa: PLC0415

    run_process(lambda stop: OperatorProcess(settings, credentials).run(stop))


def read_settings(credentials: Credentials, **given: Any) -> OperatorSettings:  # noqa: ANN401 - the options, by name
    """Return the operator's settings from its flags.

    Raises:
        click.BadParameter: two flags contradict each other.
    """
    operator_namespace = find_operator_namespace(given.pop("operator_namespace"), credentials)
    settings = OperatorSettings(
        operator_namespace=operator_namespace,
        keys=read_key_settings(key_max_days=given.pop("key_max_days"), tenants=given.pop("tenants")),
        lease=LeaseSettings(
            name=given.pop("lease_name"),
            duration_seconds=given.pop("lease_duration"),
            renew_seconds=given.pop("lease_renew"),
            poll_seconds=given.pop("lease_poll"),
        ),
        handover=_read_handover(
            service_account=given.pop("api_service_account"),
            file=given.pop("api_token_file"),
            lifetime_seconds=given.pop("api_token_lifetime"),
        ),
        **given,
    )
    if operator_namespace in settings.namespaces and not settings.serves_own_namespace:
        raise click.BadParameter(
            f"{operator_namespace} is the operator's own namespace; leave it out, or add --serve-own-namespace",
            param_hint="--namespace",
        )
    if settings.lease.renew_seconds * 2 > settings.lease.duration_seconds:
        raise click.BadParameter(
            f"{settings.lease.renew_seconds} s is more than half of --lease-duration "
            f"({settings.lease.duration_seconds} s); one failed renewal would lose the lease",
            param_hint="--lease-renew",
        )
    return settings


def _read_handover(*, service_account: str | None, file: Path | None, lifetime_seconds: int) -> HandoverSettings | None:
    if not service_account and file is None:
        return None
    if not service_account or file is None:
        raise click.BadParameter(
            "it must be known whose token goes where: give --api-service-account and --api-token-file, or neither",
            param_hint="--api-service-account",
        )
    return HandoverSettings(service_account=service_account, file=file, lifetime_seconds=lifetime_seconds)
