"""What `helm test` makes, where, and for how long."""

import ast
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, NAMESPACE, NAMESPACED, TLS, Chart, Object, merge, set_value


def find_hooks(objects: list[Object]) -> list[Object]:
    return [each for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]


@pytest.mark.parametrize(
    ("values", "namespace", "is_made"),
    [
        pytest.param({}, f"{NAMESPACE}-helm-test", True, id="of its own"),
        pytest.param(NAMESPACED, "team-a", False, id="first watched"),
        pytest.param(set_value("tests.namespace", "given"), "given", False, id="given"),
        pytest.param(
            merge(NAMESPACED, set_value("tests.namespace", "team-b")), "team-b", False, id="given and watched"
        ),
    ],
)
def test_namespace_is_made_only_where_nobody_named_one(
    chart: Chart, values: dict[str, Any], namespace: str, is_made: bool
) -> None:
    rendered = chart.render(values)

    made = [each["metadata"]["name"] for each in rendered.of("Namespace")]
    assert made == ([namespace] if is_made else [])
    assert {each["metadata"]["namespace"] for each in rendered.test_diemjobs} == {namespace}


def test_test_namespace_enforces_the_restricted_standard(chart: Chart) -> None:
    labels = chart.render().get("Namespace")["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_all_of_it_goes_after_success_and_before_another_try(chart: Chart) -> None:
    hooks = find_hooks(chart.render(set_value("networkPolicy.api.from", [{"podSelector": {}}])).objects)

    assert len(hooks) == 7
    for each in hooks:
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_pod_comes_last_beside_the_operator_and_tells_its_log(chart: Chart) -> None:
    rendered = chart.render()

    pod = rendered.get("Pod")
    weights = [int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in find_hooks(rendered.objects)]
    assert int(pod["metadata"]["annotations"]["helm.sh/hook-weight"]) == max(weights)
    assert weights.count(max(weights)) == 1
    assert pod["metadata"]["namespace"] == NAMESPACE
    assert pod["metadata"]["annotations"]["helm.sh/hook-output-log-policy"] == "hook-failed,hook-succeeded"


@pytest.mark.parametrize(
    ("values", "url"),
    [
        pytest.param({}, "http://diem-operator-api.diem-system.svc:80/etl-mgr/api/apijob", id="HTTP"),
        pytest.param(TLS, "https://diem-operator-api.diem-system.svc:443/etl-mgr/api/apijob", id="HTTPS"),
        pytest.param(
            set_value("service.clusterIP", "None"),
            "http://diem-operator-api.diem-system.svc:8080/etl-mgr/api/apijob",
            id="headless",
        ),
    ],
)
def test_story_calls_through_the_service(chart: Chart, values: dict[str, Any], url: str) -> None:
    [container] = chart.render(values).get("Pod")["spec"]["containers"]

    assert {"name": "API_URL", "value": url} in container["env"]
    assert container["command"] == ["/opt/diem/bin/python", "/story/story.py"]


def test_authority_is_given_without_the_private_key(chart: Chart) -> None:
    volumes = {each["name"]: each for each in chart.render(TLS).get("Pod")["spec"]["volumes"]}

    assert volumes["authority"]["secret"] == {
        "secretName": "certificate",
        "optional": True,
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
    }


def test_mounted_script_is_the_file(chart: Chart) -> None:
    script = chart.render().get("ConfigMap", "diem-operator-test")["data"]["story.py"]

    assert script.strip() == (CHART / "files" / "story.py").read_text().strip()
    assert ast.parse(script)


def test_key_opens_the_jobs_of_the_test_alone(chart: Chart) -> None:
    rendered = chart.render()

    apikey = yaml.safe_load(rendered.get("ConfigMap", "diem-operator-test")["data"]["apikey.json"])
    assert apikey["spec"]["jobs"] == ["diem-operator-test-*"]
    assert all(each["metadata"]["name"].startswith("diem-operator-test-") for each in rendered.test_diemjobs)


def test_jobs_of_the_test_run_the_image_and_get_no_token(chart: Chart) -> None:
    for diemjob in chart.render().test_diemjobs:
        pod = diemjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["command"][:2] == ["/opt/diem/bin/python", "-c"]
        assert ast.parse(pod["containers"][0]["args"][0])
        assert pod["automountServiceAccountToken"] is False
        assert diemjob["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 600


def test_pods_of_the_test_go_where_the_operator_goes(chart: Chart) -> None:
    placement = {"nodeSelector": {"pool": "system"}, "tolerations": [{"key": "system", "operator": "Exists"}]}
    annotations = {"sidecar.istio.io/inject": "false"}
    rendered = chart.render(merge(set_value("operator", placement), set_value("tests.podAnnotations", annotations)))

    for pod in rendered.pods:
        assert placement.items() <= pod.items()
    templates = [each["spec"]["jobTemplate"]["spec"]["template"] for each in rendered.test_diemjobs]
    for each in (rendered.get("Pod"), *templates):
        assert annotations.items() <= each["metadata"]["annotations"].items()
