"""The pods of the release, of its test, and of the DiemJobs that the test makes."""

from typing import Any

import pytest

from tests.chart.rendering import DEPLOYMENT, NAMESPACED, TLS, Chart, Object, merge, set_value

MODES = [
    pytest.param({}, id="sidecar"),
    pytest.param(DEPLOYMENT, id="deployment"),
    pytest.param(TLS, id="sidecar with TLS"),
    pytest.param(merge(DEPLOYMENT, TLS, NAMESPACED), id="namespaced deployment with TLS"),
]
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_FOLDER = "/var/run/diem/api-token"
RESTRICTED_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}


def volumes_at(pod: Object, container: Object) -> dict[str, Object]:
    """Return the volumes of a container by the folder where it has them."""
    volumes = {each["name"]: each for each in pod["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}


def sources_of(volume: Object) -> set[str]:
    return {name for source in volume["projected"]["sources"] for name in source}


@pytest.mark.parametrize("values", MODES)
def test_every_pod_is_restricted(chart: Chart, values: dict[str, Any]) -> None:
    pods = chart.render(values).pods

    assert len(pods) == (5 if "mode" in values.get("api", {}) else 4)
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert {kind for each in pod.get("volumes", []) for kind in each if kind != "name"} <= RESTRICTED_VOLUMES


@pytest.mark.parametrize("values", MODES)
def test_every_container_is_restricted(chart: Chart, values: dict[str, Any]) -> None:
    containers = [container for pod in chart.render(values).pods for container in pod["containers"]]

    hardened = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [container["securityContext"] for container in containers] == [hardened] * len(containers)
    assert all({"requests", "limits"} <= set(container["resources"]) for container in containers)
    assert all("hostPort" not in port for container in containers for port in container.get("ports", []))


@pytest.mark.parametrize("values", MODES)
def test_no_pod_gets_a_token_unasked(chart: Chart, values: dict[str, Any]) -> None:
    rendered = chart.render(values)

    assert [pod["automountServiceAccountToken"] for pod in rendered.pods] == [False] * len(rendered.pods)
    accounts = rendered.of("ServiceAccount")
    assert [each["automountServiceAccountToken"] for each in accounts] == [False] * len(accounts)


@pytest.mark.parametrize("values", MODES)
def test_names_in_lists_are_unique(chart: Chart, values: dict[str, Any]) -> None:
    for pod in chart.render(values).pods:
        lists = [pod["containers"], pod.get("volumes", []), *(each.get("env", []) for each in pod["containers"])]
        lists.append([port for each in pod["containers"] for port in each.get("ports", [])])
        for named in lists:
            names = [each["name"] for each in named]
            assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("values", MODES)
def test_every_mount_has_its_volume_and_every_volume_its_mount(chart: Chart, values: dict[str, Any]) -> None:
    for pod in chart.render(values).pods:
        mounted = {mount["name"] for each in pod["containers"] for mount in each.get("volumeMounts", [])}
        assert mounted == {each["name"] for each in pod.get("volumes", [])}


def test_sidecar_has_no_token_but_the_one_it_is_handed(chart: Chart) -> None:
    rendered = chart.render()

    [pod] = [each["spec"]["template"]["spec"] for each in rendered.of("Deployment")]
    operator, api = pod["containers"]
    assert sources_of(volumes_at(pod, operator)[SERVICE_ACCOUNT]) == {"serviceAccountToken", "configMap", "downwardAPI"}
    assert sources_of(volumes_at(pod, api)[SERVICE_ACCOUNT]) == {"configMap", "downwardAPI"}
    handed = volumes_at(pod, api)[TOKEN_FOLDER]
    assert handed == volumes_at(pod, operator)[TOKEN_FOLDER]
    assert handed["emptyDir"]["medium"] == "Memory"
    assert [mount.get("readOnly") for mount in api["volumeMounts"]] == [True] * 2
    assert "shareProcessNamespace" not in pod


def test_both_containers_know_the_file_of_the_handed_token(chart: Chart) -> None:
    operator, api = (chart.render().environment(name) for name in ("operator", "api"))

    assert operator["DIEM_API_SERVICE_ACCOUNT"] == "diem-operator-api"
    assert operator["DIEM_API_TOKEN_LIFETIME"] == "3600"
    assert operator["DIEM_API_TOKEN_FILE"] == api["DIEM_API_TOKEN_FILE"] == f"{TOKEN_FOLDER}/token"


def test_api_of_its_own_deployment_has_a_token_of_its_own(chart: Chart) -> None:
    rendered = chart.render(DEPLOYMENT)

    pod = rendered.get("Deployment", "diem-operator-api")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "diem-operator-api"
    assert [each["name"] for each in pod["containers"]] == ["api"]
    assert "serviceAccountToken" in sources_of(volumes_at(pod, pod["containers"][0])[SERVICE_ACCOUNT])
    names = set(rendered.environment("operator")) | set(rendered.environment("api"))
    assert not {"DIEM_API_SERVICE_ACCOUNT", "DIEM_API_TOKEN_FILE", "DIEM_API_TOKEN_LIFETIME"} & names


@pytest.mark.parametrize("values", MODES)
def test_service_selects_just_the_pods_that_have_the_api(chart: Chart, values: dict[str, Any]) -> None:
    rendered = chart.render(values)

    selector = rendered.get("Service")["spec"]["selector"]
    for each in rendered.of("Deployment"):
        template = each["spec"]["template"]
        has_api = "api" in {container["name"] for container in template["spec"]["containers"]}
        assert (selector.items() <= template["metadata"]["labels"].items()) == has_api
        assert each["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert not selector.items() <= rendered.get("Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize("container", ["operator", "api"])
def test_probes_are_plain_http_on_the_probe_port(chart: Chart, container: str) -> None:
    found = chart.render(TLS).container(container)

    probes = {name: found[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert [probes[name]["path"] for name in ("startup", "readiness", "liveness")] == [
        "/healthz",
        "/readyz",
        "/healthz",
    ]
    assert {probe["port"] for probe in probes.values()} == {f"{container}-probes"}
    assert all("scheme" not in probe for probe in probes.values())


def test_a_busy_process_has_minutes_before_it_is_killed(chart: Chart) -> None:
    probe = chart.render().container("api")["livenessProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] >= 180
    assert probe["timeoutSeconds"] >= 30


@pytest.mark.parametrize(
    ("drain", "seconds"), [pytest.param(2, 20, id="default"), pytest.param(30.5, 49, id="longer drain")]
)
def test_pod_has_time_to_drain(chart: Chart, drain: float, seconds: int) -> None:
    rendered = chart.render(set_value("api.drainSeconds", drain))

    assert rendered.get("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds
    assert rendered.environment("api")["DIEM_API_DRAIN"] == str(drain)


def test_pods_spread_over_nodes_by_the_labels_of_their_own(chart: Chart) -> None:
    for each in chart.render(DEPLOYMENT).of("Deployment"):
        [constraint] = each["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        assert constraint["labelSelector"] == each["spec"]["selector"]


def test_given_spread_keeps_its_own_selector(chart: Chart) -> None:
    given = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"a": "b"}},
    }
    rendered = chart.render(set_value("operator.topologySpreadConstraints", [given]))

    assert rendered.get("Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"] == [given]


@pytest.mark.parametrize("mode", ["sidecar", "deployment"])
def test_certificate_is_mounted_for_the_api_alone(chart: Chart, mode: str) -> None:
    rendered = chart.render(merge(TLS, set_value("api.mode", mode)))

    api, operator = rendered.container("api"), rendered.container("operator")
    files = {rendered.environment("api")[f"DIEM_API_TLS_{name}_FILE"] for name in ("CERTIFICATE", "KEY")}
    assert files == {"/var/run/diem/tls/tls.crt", "/var/run/diem/tls/tls.key"}
    assert {"name": "api-tls", "mountPath": "/var/run/diem/tls", "readOnly": True} in api["volumeMounts"]
    assert "api-tls" not in {mount["name"] for mount in operator["volumeMounts"]}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param({}, "diem/diem-operator:0.1.0", id="default"),
        pytest.param(
            {"registry": "registry.example:5000"}, "registry.example:5000/diem/diem-operator:0.1.0", id="host"
        ),
        pytest.param({"tag": "main"}, "diem/diem-operator:main", id="tag"),
        pytest.param({"digest": f"sha256:{'0' * 64}"}, f"diem/diem-operator@sha256:{'0' * 64}", id="digest"),
        pytest.param(
            {"tag": "main", "digest": f"sha256:{'0' * 64}"},
            f"diem/diem-operator:main@sha256:{'0' * 64}",
            id="tag and digest",
        ),
    ],
)
def test_every_container_runs_the_one_image(chart: Chart, image: dict[str, str], expected: str) -> None:
    pods = chart.render(set_value("image", image)).pods

    assert {container["image"] for pod in pods for container in pod["containers"]} == {expected}


@pytest.mark.parametrize(
    ("path", "values", "field"),
    [
        pytest.param("operator", {}, "diem-operator", id="operator"),
        pytest.param("api.deployment", DEPLOYMENT, "diem-operator-api", id="api"),
    ],
)
def test_pods_are_placed_as_told(chart: Chart, path: str, values: dict[str, Any], field: str) -> None:
    placement = {
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    }
    extra = {"runtimeClassName": "gvisor", "dnsPolicy": "Default"}
    labels = {"team": "platform"}
    given = placement | {"extraPodSpec": extra, "podLabels": labels, "podAnnotations": labels, "annotations": labels}
    deployment = chart.render(merge(values, set_value(path, given))).get("Deployment", field)

    pod = deployment["spec"]["template"]
    assert {name: pod["spec"][name] for name in placement} == placement
    assert extra.items() <= pod["spec"].items()
    assert labels.items() <= pod["metadata"]["labels"].items()
    assert labels.items() <= pod["metadata"]["annotations"].items()
    assert deployment["metadata"]["annotations"] == labels
    assert "team" not in deployment["spec"]["selector"]["matchLabels"]


def test_extra_volumes_are_for_every_container_of_the_release(chart: Chart) -> None:
    volume, mount = {"name": "extra", "emptyDir": {}}, {"name": "extra", "mountPath": "/extra"}
    given = merge(DEPLOYMENT, {"extraVolumes": [volume], "extraVolumeMounts": [mount]})

    for each in chart.render(given).of("Deployment"):
        pod = each["spec"]["template"]["spec"]
        assert volume in pod["volumes"]
        assert all(mount in container["volumeMounts"] for container in pod["containers"])


def test_every_pod_may_pull_with_the_given_secrets(chart: Chart) -> None:
    pods = chart.render({"imagePullSecrets": [{"name": "registry"}]}).pods

    assert [pod["imagePullSecrets"] for pod in pods] == [[{"name": "registry"}]] * len(pods)


def test_cluster_may_choose_the_user(chart: Chart) -> None:
    nobody = set_value("podSecurityContext", {"runAsUser": None, "runAsGroup": None, "fsGroup": None})

    chosen = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pods = chart.render(nobody).pods
    assert [pod["securityContext"] for pod in pods] == [chosen] * len(pods)
