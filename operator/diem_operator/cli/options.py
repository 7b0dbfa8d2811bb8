"""Options that both commands have, and how each is read from flags, the environment or its default."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from diem_operator.cluster.credentials import Credentials, CredentialsError, in_cluster, is_in_cluster
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.settings import DAY_SECONDS, KeySettings, Tenant, parse_tenants

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_OPERATOR_NAMESPACE: Final = "diem-system"


def option(*names: str, env: str, **attributes: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    """Declare an option; `--help` names its environment variable and its default."""
    return click.option(*names, envvar=env, show_envvar=True, show_default=True, **attributes)


def apply_all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that declares the options in this order."""

    def decorate(command: Command) -> Command:
        for declare in reversed(options):
            command = declare(command)
        return command

    return decorate


connection_options = apply_all(
    option(
        "--kubeconfig",
        env="DIEM_KUBECONFIG",
        type=click.Path(path_type=Path),
        help="Kubeconfig to use. Default: the pod's ServiceAccount; outside a pod, $KUBECONFIG or ~/.kube/config.",
    ),
    option("--context", env="DIEM_CONTEXT", help="Context of the kubeconfig. Default: its current one."),
)

scope_options = apply_all(
    option(
        "--namespace",
        "namespaces",
        env="DIEM_NAMESPACES",
        multiple=True,
        help="Namespace to serve; repeat it for more (in the variable: separated by spaces). Default: all.",
    ),
    option(
        "--operator-namespace",
        env="DIEM_OPERATOR_NAMESPACE",
        help=f"Namespace of the operator itself. Default: the pod's own, else {DEFAULT_OPERATOR_NAMESPACE}.",
    ),
    option(
        "--serve-own-namespace/--no-serve-own-namespace",
        "serves_own_namespace",
        env="DIEM_SERVE_OWN_NAMESPACE",
        default=False,
        help="Serve DiemJobs in the operator's namespace too; their Jobs could then use the operator's identity.",
    ),
)

key_options = apply_all(
    option(
        "--key-max-days",
        env="DIEM_KEY_MAX_DAYS",
        type=click.IntRange(min=0),
        default=365,
        help="A DiemApiKey ends at the latest this long after its creation; 0: no limit.",
    ),
    option(
        "--tenants",
        env="DIEM_TENANTS",
        default="{}",
        help='More for the keys of a namespace, as JSON: {"team-a": {"org": "leap", "namespaces": ["team-b"]}}.',
    ),
)

log_options = apply_all(
    option(
        "--log-format",
        env="DIEM_LOG_FORMAT",
        type=click.Choice(["auto", "text", "json"]),
        default="auto",
        help="auto: text on a terminal, JSON otherwise.",
    ),
    option(
        "--log-level",
        env="DIEM_LOG_LEVEL",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        default="info",
    ),
)


def load_credentials(kubeconfig: Path | None, context: str | None, *, token_file: Path | None = None) -> Credentials:
    """Return the credentials to use.

    Raises:
        click.ClickException: there are none; the text says what to do.
    """
    try:
        if kubeconfig is None and context is None and is_in_cluster():
            return in_cluster(token_file=token_file)
        environ = os.environ if kubeconfig is None else {"KUBECONFIG": str(kubeconfig)}
        return from_kubeconfig(context=context, environ=environ)
    except CredentialsError as error:
        raise click.ClickException(str(error)) from error


def find_operator_namespace(given: str | None, credentials: Credentials) -> str:
    """Return the namespace the operator lives in; a kubeconfig's namespace is where its user works, not that."""
    if given:
        return given
    return (credentials.namespace if is_in_cluster() else None) or DEFAULT_OPERATOR_NAMESPACE


def read_key_settings(*, key_max_days: int, tenants: str) -> KeySettings:
    """Return the settings that the operator and the API must agree on.

    Raises:
        click.BadParameter: the tenants are not of the expected form.
    """
    return KeySettings(max_lifetime_seconds=key_max_days * DAY_SECONDS, tenants=_parse_tenants(tenants))


def _parse_tenants(text: str) -> dict[str, Tenant]:
    try:
        return parse_tenants(text)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise click.BadParameter(f"{error}; see --help for the form", param_hint="--tenants") from error
