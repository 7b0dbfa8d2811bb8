"""What Prometheus and Grafana are given, against what the two processes count."""

import json
import re

import pytest
import yaml
from prometheus_client import CollectorRegistry

from diem_operator.metrics import ApiMetrics, OperatorMetrics
from tests.chart.rendering import CHART, NAMESPACE, Chart, set_value

RULES = set_value("metrics.prometheusRule.enabled", True)
DASHBOARD = set_value("metrics.dashboard.enabled", True)
SUFFIXES = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_count", "_sum", "_created"), "gauge": ("",)}


def find_exported() -> set[str]:
    """Return the name of every series that either process can have."""
    registry = CollectorRegistry(auto_describe=True)
    OperatorMetrics(registry)
    ApiMetrics(registry)
    return {family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]}


@pytest.mark.parametrize("file", ["alerts.yaml", "dashboard.json"])
def test_only_metrics_that_exist_are_asked_for(file: str) -> None:
    named = set(re.findall(r"\bdiem_(?:api|operator)_\w+", (CHART / "files" / file).read_text()))

    assert len(named) > 5
    assert named - find_exported() == set()


def test_alerts_are_taken_whole_and_link_to_their_runbooks(chart: Chart) -> None:
    page = "https://docs.example/runbooks"
    rendered = chart.render(
        set_value("metrics.prometheusRule", {"enabled": True, "runbookUrl": page, "labels": {"release": "prometheus"}})
    )

    rule = rendered.get("PrometheusRule")
    text = (CHART / "files" / "alerts.yaml").read_text().replace("__RUNBOOK_URL__", page)
    assert rule["spec"]["groups"] == yaml.safe_load(text)["groups"]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    links = [alert["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for alert in group["rules"]]
    assert all(link.startswith(f"{page}#") for link in links)


def test_every_alert_has_a_section_in_the_runbooks(chart: Chart) -> None:
    page = CHART.parents[1] / chart_default(chart)
    anchors = {heading.strip().lower() for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}
    groups = chart.render(RULES).get("PrometheusRule")["spec"]["groups"]

    linked = {alert["annotations"]["runbook_url"].partition("#")[2] for group in groups for alert in group["rules"]}
    assert linked - anchors == set()


def chart_default(chart: Chart) -> str:
    """Return the page that alerts link to by default."""
    group = chart.render(RULES).get("PrometheusRule")["spec"]["groups"][0]
    return str(group["rules"][0]["annotations"]["runbook_url"]).partition("#")[0]


def test_extra_groups_follow_the_alerts(chart: Chart) -> None:
    extra = {"name": "mine", "rules": []}
    groups = chart.render(set_value("metrics.prometheusRule", {"enabled": True, "extraGroups": [extra]}))

    assert groups.get("PrometheusRule")["spec"]["groups"][-1] == extra
    assert len(groups.get("PrometheusRule")["spec"]["groups"]) > 1


def test_dashboard_is_given_as_it_is(chart: Chart) -> None:
    found = chart.render(set_value("metrics.dashboard", {"enabled": True, "annotations": {"grafana_folder": "Jobs"}}))

    dashboard = found.get("ConfigMap", "diem-operator-dashboard")
    assert json.loads(dashboard["data"]["diem-operator.json"]) == json.loads(
        (CHART / "files" / "dashboard.json").read_text()
    )
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["metadata"]["annotations"] == {"grafana_folder": "Jobs"}


@pytest.mark.parametrize(
    ("given", "namespace"), [pytest.param("", NAMESPACE, id="default"), pytest.param("grafana", "grafana", id="given")]
)
def test_dashboard_lies_where_grafana_looks(chart: Chart, given: str, namespace: str) -> None:
    rendered = chart.render(set_value("metrics.dashboard", {"enabled": True, "namespace": given}))

    assert rendered.get("ConfigMap", "diem-operator-dashboard")["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("mode", ["sidecar", "deployment"])
def test_both_processes_are_scraped(chart: Chart, mode: str) -> None:
    given = {"enabled": True, "interval": "15s", "scrapeTimeout": "5s", "labels": {"release": "prometheus"}}
    rendered = chart.render(set_value("metrics.podMonitor", given) | set_value("api.mode", mode))

    monitor = rendered.get("PodMonitor")
    endpoints = monitor["spec"]["podMetricsEndpoints"]
    ports = {
        port["name"]
        for each in rendered.of("Deployment")
        for container in each["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }
    assert {endpoint["port"] for endpoint in endpoints} == {"operator-probes", "api-probes"} <= ports
    assert {(each["interval"], each["scrapeTimeout"]) for each in endpoints} == {("15s", "5s")}
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    for each in rendered.of("Deployment"):
        assert selected <= each["spec"]["template"]["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
