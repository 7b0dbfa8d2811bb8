"""What the rendered Roles grant. That the API server sees it the same way is tried elsewhere, on a real one."""

from typing import Any

import pytest

from tests.chart.rendering import DEPLOYMENT, NAMESPACE, NAMESPACED, Chart, Object, Rendered, merge, set_value

MODES = [
    pytest.param({}, id="sidecar"),
    pytest.param(DEPLOYMENT, id="deployment"),
    pytest.param(NAMESPACED, id="namespaced"),
    pytest.param(merge(NAMESPACED, DEPLOYMENT), id="namespaced deployment"),
]
ROLES = ("Role", "ClusterRole")
OPERATOR, API = "diem-operator", "diem-operator-api"


def rules_of(rendered: Rendered, account: str) -> list[tuple[str, Object]]:
    """Return what a ServiceAccount of the release may do: namespace (empty: everywhere) and rule."""
    found = []
    for binding in rendered.of("RoleBinding", "ClusterRoleBinding"):
        if {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE} in binding["subjects"]:
            namespace = binding["metadata"].get("namespace", "")
            role = next(
                each
                for each in rendered.of(binding["roleRef"]["kind"])
                if each["metadata"]["name"] == binding["roleRef"]["name"]
                and each["metadata"].get("namespace", "") in {"", namespace}
            )
            found += [(namespace, rule) for rule in role["rules"]]
    return found


def is_of_test(item: Object) -> bool:
    return "helm.sh/hook" in item["metadata"].get("annotations", {})


@pytest.mark.parametrize("values", MODES)
def test_no_role_has_a_wildcard(chart: Chart, values: dict[str, Any]) -> None:
    rules = [rule for role in chart.render(values).of(*ROLES) for rule in role["rules"]]

    assert len(rules) > 10
    assert [rule for rule in rules if any("*" in named for part in rule.values() for named in part)] == []


@pytest.mark.parametrize("values", MODES)
def test_only_the_signing_secret_can_be_read(chart: Chart, values: dict[str, Any]) -> None:
    readable = [
        (role["kind"], role["metadata"].get("namespace"), rule)
        for role in chart.render(values).of(*ROLES)
        if not is_of_test(role)
        for rule in role["rules"]
        if "secrets" in rule["resources"] and rule["verbs"] != ["create"]
    ]

    signing = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["diem-operator-signing"]}
    assert readable == [("Role", NAMESPACE, signing | {"verbs": ["get", "patch"]})]


@pytest.mark.parametrize("values", MODES)
def test_api_may_read_and_patch_and_nothing_else(chart: Chart, values: dict[str, Any]) -> None:
    rules = [rule for _, rule in rules_of(chart.render(values), API)]

    diemjobs = {"apiGroups": ["diem.io"], "resources": ["diemjobs"], "verbs": ["get", "list", "watch", "patch"]}
    diemapikeys = {"apiGroups": ["diem.io"], "resources": ["diemapikeys"], "verbs": ["get", "list", "watch"]}
    assert [rule for rule in rules if rule not in (diemjobs, diemapikeys)] == []
    assert diemjobs in rules
    assert diemapikeys in rules


@pytest.mark.parametrize(
    ("values", "granted"),
    [
        pytest.param({}, [[API]], id="sidecar"),
        pytest.param(set_value("api.serviceAccount.name", "own"), [["own"]], id="sidecar with another account"),
        pytest.param(DEPLOYMENT, [], id="deployment"),
    ],
)
def test_operator_obtains_tokens_of_the_api_only_for_a_sidecar(
    chart: Chart, values: dict[str, Any], granted: list[list[str]]
) -> None:
    rules = [rule for _, rule in rules_of(chart.render(values), OPERATOR)]

    tokens = [rule for rule in rules if "serviceaccounts/token" in rule["resources"]]
    assert [rule["resourceNames"] for rule in tokens] == granted
    assert all(rule["verbs"] == ["create"] for rule in tokens)


@pytest.mark.parametrize("account", [OPERATOR, API])
def test_watched_namespaces_get_a_role_and_a_binding_each(chart: Chart, account: str) -> None:
    rendered = chart.render(NAMESPACED)

    everywhere = [rule for namespace, rule in rules_of(chart.render(), account) if not namespace]
    for namespace in ("team-a", "team-b"):
        assert [rule for where, rule in rules_of(rendered, account) if where == namespace] == everywhere
    assert {where for where, _ in rules_of(rendered, account)} <= {"team-a", "team-b", NAMESPACE}
    assert rendered.of("ClusterRoleBinding") == []


def test_operator_may_fill_its_own_signing_secret_and_create_none_beside_it(chart: Chart) -> None:
    rendered = chart.render(NAMESPACED)

    own = [rule for namespace, rule in rules_of(rendered, OPERATOR) if namespace == NAMESPACE]
    assert [rule["verbs"] for rule in own if "secrets" in rule["resources"]] == [["get", "patch"]]
    assert set(rendered.get("Secret", "diem-operator-signing")) == {"apiVersion", "kind", "metadata", "type"}


def test_brought_signing_secret_is_only_read(chart: Chart) -> None:
    rendered = chart.render(set_value("keys.signingSecret.existingSecret", "mine"))

    rules = [rule for namespace, rule in rules_of(rendered, OPERATOR) if namespace and "secrets" in rule["resources"]]
    assert [(rule["resourceNames"], rule["verbs"]) for rule in rules] == [(["mine"], ["get"])]
    assert rendered.of("Secret") == []
    assert rendered.environment("operator")["DIEM_SIGNING_SECRET"] == "mine"


@pytest.mark.parametrize(
    ("role", "to", "resources", "may_write"),
    [
        pytest.param("view", {"view", "edit", "admin"}, {"diemjobs", "diemjobs/status"}, False, id="view"),
        pytest.param("edit", {"edit", "admin"}, {"diemjobs"}, True, id="edit"),
        pytest.param("admin", {"admin"}, {"diemapikeys"}, True, id="admin"),
    ],
)
def test_people_get_rights_with_their_usual_roles(
    chart: Chart, role: str, to: set[str], resources: set[str], may_write: bool
) -> None:
    found = chart.render().get("ClusterRole", f"diem-operator-{role}.{NAMESPACE}")

    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {label.removeprefix(prefix) for label in found["metadata"]["labels"] if label.startswith(prefix)} == to
    assert {resource for rule in found["rules"] for resource in rule["resources"]} == resources
    assert ("create" in {verb for rule in found["rules"] for verb in rule["verbs"]}) == may_write


@pytest.mark.parametrize("values", MODES)
def test_admission_policy_names_the_identity_of_the_api(chart: Chart, values: dict[str, Any]) -> None:
    rendered = chart.render(values)

    policy = rendered.get("ValidatingAdmissionPolicy")
    binding = rendered.get("ValidatingAdmissionPolicyBinding")
    condition = f"request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{API}'"
    assert [each["expression"] for each in policy["spec"]["matchConditions"]] == [condition]
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert "Deny" in binding["spec"]["validationActions"]


@pytest.mark.parametrize("values", [pytest.param({}, id="cluster-wide"), pytest.param(NAMESPACED, id="namespaced")])
def test_rights_of_the_test_end_with_it_and_are_in_its_namespace_alone(chart: Chart, values: dict[str, Any]) -> None:
    rendered = chart.render(values)

    bindings = [each for each in rendered.of("RoleBinding") if is_of_test(each)]
    namespace = "team-a" if values else f"{NAMESPACE}-helm-test"
    assert [each["metadata"]["namespace"] for each in bindings] == [namespace]
    assert "hook-succeeded" in bindings[0]["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    secrets = [rule for _, rule in rules_of(rendered, "diem-operator-test") if "secrets" in rule["resources"]]
    assert [rule["verbs"] for rule in secrets] == [["get"]]


def test_two_releases_share_no_object_of_the_cluster(chart: Chart) -> None:
    here, there = chart.render(), chart.render(namespace="elsewhere")

    shared = {identity for identity in here.identities & there.identities if not identity[1]}
    assert {kind for kind, _, _ in shared} <= {"CustomResourceDefinition"}


def test_rights_can_be_granted_by_others(chart: Chart) -> None:
    rendered = chart.render(set_value("rbac.create", False))

    assert [each for each in rendered.of("Role", "RoleBinding", "ClusterRoleBinding") if not is_of_test(each)] == []
