"""values.yaml, its comments and values.schema.json say the same, and the schema refuses what is in none of them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Chart, merge, set_value

FOR_PARENT_CHARTS = {"global", "enabled"}
"""Values that Helm, or the convention for conditions of dependencies, hands down from a parent chart."""

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    return SCHEMA["definitions"][reference.rpartition("/")[2]] if reference else schema


def find_groups(schema: dict[str, Any], values: object, path: str = "") -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield each group of values: its path, its names in the schema and those in values.yaml."""
    schema = resolve(schema)
    if not isinstance(values, Mapping) or "properties" not in schema or path in DOCUMENTED_AS_WHOLE:
        return
    yield path, set(schema["properties"]), set(values)
    for name, inner in schema["properties"].items():
        yield from find_groups(inner, values.get(name), f"{path}.{name}".strip("."))


def find_documented() -> set[str]:
    """Return the path of every value that has a `# -- ` comment right above it."""
    found: set[str] = set()
    path: list[str] = []
    is_documented = False
    for line in (CHART / "values.yaml").read_text().splitlines():
        if re.match(r" *# -- \S", line):
            is_documented = True
        elif named := re.match(r"( *)([\w]+):", line):
            path = [*path[: len(named[1]) // 2], named[2]]
            if is_documented:
                found.add(".".join(path))
            is_documented = False
    return found


def find_leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        inner = f"{path}.{name}".strip(".")
        if isinstance(value, dict) and value and inner not in DOCUMENTED:
            yield from find_leaves(value, inner)
        else:
            yield inner


DOCUMENTED = find_documented()
# Structures of Kubernetes, of which values.yaml has only the fields that are set.
DOCUMENTED_AS_WHOLE = {path for path in DOCUMENTED if "." in path or isinstance(VALUES.get(path), dict)}


def test_every_value_has_a_comment() -> None:
    assert set(find_leaves(VALUES)) - DOCUMENTED == set()


def test_schema_and_values_have_the_same_names() -> None:
    groups = list(find_groups(SCHEMA, VALUES))

    assert len(groups) > 20
    assert {path: declared ^ given for path, declared, given in groups if declared != given} == {"": FOR_PARENT_CHARTS}


def test_every_value_is_in_the_readme() -> None:
    readme = (CHART / "README.md").read_text()

    assert {path for path in DOCUMENTED if f"| `{path}` |" not in readme} == set()


def test_typo_is_refused_in_every_group(chart: Chart) -> None:
    groups = [path for path, _, _ in find_groups(SCHEMA, VALUES)]
    refusal = chart.find_refusal(merge(*(set_value(f"{path}.replcas".strip("."), 1) for path in groups)))

    complaints = {f"at '{path and '/'}{path.replace('.', '/')}': additional properties 'replcas'" for path in groups}
    assert {complaint for complaint in complaints if complaint not in refusal} == set()


@pytest.mark.parametrize("value", [set_value("global", {"any": "thing"}), set_value("enabled", True)])
def test_values_of_a_parent_chart_are_accepted(chart: Chart, value: dict[str, Any]) -> None:
    assert chart.render(value).identities == chart.render().identities


def test_chart_passes_strict_lint(chart: Chart) -> None:
    assert "0 chart(s) failed" in chart.lint()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("api.mode", "both", id="unknown mode"),
        pytest.param("api.missingKeyStatus", 404, id="a status that callers do not expect"),
        pytest.param("api.limits.failedKeys.burst", 0, id="a limit that nobody could keep"),
        pytest.param("api.limits.keyRequests.perSecond", -1, id="a rate below none"),
        pytest.param("api.limits.operations", 0, id="no way to the API server at all"),
        pytest.param("api.trustedProxies", ["proxy.example.com"], id="a proxy by name"),
        pytest.param("api.port", 80, id="a port that needs a capability"),
        pytest.param("api.tokenLifetimeSeconds", 599, id="a token that the API server refuses"),
        pytest.param("operator.replicas", 0, id="no operator"),
        pytest.param("operator.replicas", "2", id="a number as text"),
        pytest.param("operator.lease.durationSeconds", 2, id="too short a lease"),
        pytest.param("operator.strategy", {"type": "Sometimes"}, id="unknown strategy"),
        pytest.param("operator.tolerations", [{"kee": "x"}], id="typo in a toleration"),
        pytest.param("operator.affinity", {"podAffinty": {}}, id="typo in an affinity"),
        pytest.param("operator.resources", {"request": {}}, id="typo in resources"),
        pytest.param("operator.extraPodSpec", {"hostNetwork": True}, id="field of a pod that restricted pods lack"),
        pytest.param("operator.podLabels", {"app.kubernetes.io/component": "x"}, id="label that selectors use"),
        pytest.param("commonLabels", {"app.kubernetes.io/name": "x"}, id="label that the chart sets"),
        pytest.param("image.digest", "sha256:abc", id="shortened digest"),
        pytest.param("image.pullPolicy", "always", id="misspelt pull policy"),
        pytest.param("watchNamespaces", ["Team_A"], id="no name of a namespace"),
        pytest.param("watchNamespaces", ["a", "a"], id="a namespace twice"),
        pytest.param("keys.tenants", {"team-a": {"namespace": ["b"]}}, id="typo in a tenant"),
        pytest.param("log.level", "trace", id="unknown level"),
        pytest.param("networkPolicy.apiServer.ports", [], id="no way to the API server"),
        pytest.param("networkPolicy.api.from", [{}], id="peer that says nothing"),
        pytest.param("podSecurityContext.runAsNonRoot", False, id="pods that run as root"),
        pytest.param("podSecurityContext.seccompProfile.type", "Unconfined", id="pods without seccomp"),
        pytest.param("securityContext.privileged", True, id="privileged containers"),
        pytest.param("securityContext.allowPrivilegeEscalation", True, id="privilege escalation"),
        pytest.param("securityContext.capabilities.drop", [], id="capabilities"),
        pytest.param("service.type", "ExternalName", id="Service without pods"),
    ],
)
def test_schema_refuses(chart: Chart, path: str, value: object) -> None:
    refusal = chart.find_refusal(set_value(path, value))

    assert "values don't meet the specifications of the schema" in refusal
    assert f"/{path.partition('.')[0]}" in refusal
