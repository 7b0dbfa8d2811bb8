"""What a real kubelet makes of hostile values; and that what judges them elsewhere reads `env` as it does."""

import base64
import json
from collections.abc import Iterator

import pytest

from diem_operator.model.diemjob import ParameterDeclaration
from diem_operator.model.metadata import RawObject
from diem_operator.planning.parameters import build_environment
from tests.localcluster import LocalCluster, NodeKind
from tests.localcluster.node_kind import why_not_real
from tests.security.fuzz.expansion import read_environment
from tests.security.tokens.test_pods_of_jobs import HOSTILE

HINDRANCE = why_not_real()

ODD_REFERENCES = (
    "$(",
    "$",
    "$)",
    "$()",
    "$(SECRET",
    "$( SECRET)",
    "$(SECRET)$(SECRET)",
    "$$$(SECRET)",
    "$$(SECRET)$",
    "$(SE$(X)CRET)",
    "$(NOT)$(SECRET)",
    "a$b",
)

PRINT_ALL = r"""
for name in "$@"; do
  eval "value=\${$name}"
  echo "$name `printf %s "$value" | base64 | tr -d '\n'`"
done
"""
"""The kubelet reads commands like values: there is no `$(` and no `$$` in it."""


@pytest.fixture(scope="module")
def real_cluster() -> Iterator[LocalCluster]:
    if HINDRANCE is not None:
        pytest.skip(HINDRANCE)
    with LocalCluster.start(NodeKind.REAL) as cluster:
        yield cluster


def name_all(prefix: str, values: tuple[str, ...]) -> dict[str, str]:
    return {f"{prefix}{number}": value for number, value in enumerate(values)}


def run_pod(cluster: LocalCluster, environment: list[RawObject]) -> dict[str, str]:
    """Run a pod with this `env` and return what its program finds there."""
    command = ["sh", "-c", PRINT_ALL, "sh", *(variable["name"] for variable in environment)]
    container = {"name": "main", "image": "localhost/diem/busybox:local", "command": command, "env": environment}
    spec = {"restartPolicy": "Never", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"}, "spec": spec}
    cluster.kubectl("create", "--filename=-", input=json.dumps(pod))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=90s")
    lines = [line.partition(" ") for line in cluster.kubectl("logs", "reader").splitlines()]
    return {name: base64.b64decode(encoded).decode() for name, _, encoded in lines}


def test_real_kubelet_hands_over_what_was_given(real_cluster: LocalCluster) -> None:
    values = name_all("V", tuple(HOSTILE.values()))
    parameters = build_environment(tuple(ParameterDeclaration(name=name) for name in values), values)
    referring = [{"name": f"R{name[1:]}", "value": f"<$({name})>"} for name in values]
    odd = [{"name": name, "value": value} for name, value in name_all("O", ODD_REFERENCES).items()]
    environment = [{"name": "SECRET", "value": "of the template"}, *parameters, *referring, *odd]

    found = run_pod(real_cluster, environment)

    assert {name: found[name] for name in values} == values
    assert found == read_environment(environment)
