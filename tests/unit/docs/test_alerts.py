"""The alerts ask for what the processes serve, and each of them has a page that says what to do."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.unit.docs.metric_names import find_selectors, find_unknown

ROOT = Path(__file__).resolve().parents[3]
ALERTS = ROOT / "helm" / "diem-operator" / "files" / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
SEVERITIES = {"critical", "warning", "info"}


@cache
def read_document() -> dict[str, Any]:
    return dict(yaml.safe_load(ALERTS.read_text(encoding="utf-8")))


def read_rules() -> list[dict[str, Any]]:
    return [rule for group in read_document()["groups"] for rule in group["rules"]]


EACH_RULE = pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in read_rules()])


def test_document_is_nothing_but_groups_of_alerts() -> None:
    assert set(read_document()) == {"groups"}
    assert {key for group in read_document()["groups"] for key in group} == {"name", "rules"}
    assert {key for rule in read_rules() for key in rule} == {"alert", "expr", "for", "labels", "annotations"}


def test_names_are_not_used_twice() -> None:
    alerts = [rule["alert"] for rule in read_rules()]
    groups = [group["name"] for group in read_document()["groups"]]

    assert len(set(alerts)) == len(alerts)
    assert len(set(groups)) == len(groups)


@EACH_RULE
def test_expression_is_promql(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])


@EACH_RULE
def test_alert_asks_for_series_that_exist(rule: dict[str, Any]) -> None:
    assert find_unknown(rule["expr"]) == []


@EACH_RULE
def test_counters_are_only_looked_at_as_rates(rule: dict[str, Any]) -> None:
    """A restart sets them to zero; a raw counter means nothing."""
    in_rates = re.findall(r"(?:rate|increase)\(\s*(\w+_(?:total|bucket|sum|count))\b", rule["expr"])
    counters = [name for name, _ in find_selectors(rule["expr"]) if re.search(r"_(total|bucket|sum|count)$", name)]

    assert in_rates == counters


@EACH_RULE
def test_alert_says_how_bad_it_is_what_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"__RUNBOOK_URL__#{rule['alert'].lower()}"


@EACH_RULE
def test_texts_use_labels_that_the_expression_leaves(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
    kept = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in labels.split(",")}

    assert used - kept == set()


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    headings = re.findall(r"^## (Diem\w+)$", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert headings == [rule["alert"] for rule in read_rules()]


@pytest.mark.parametrize(
    ("expression", "unknown"),
    [
        pytest.param("rate(diem_operator_reconciles[5m]) > 0", ["diem_operator_reconciles"], id="without-total"),
        pytest.param("diem_api_waiting_requests{key='x'}", ["diem_api_waiting_requests.key"], id="no-such-label"),
        pytest.param("sum(up) + diem_operator_leader{pod='x'}", ["up"], id="somebody-else's"),
    ],
)
def test_what_no_process_serves_is_noticed(expression: str, unknown: list[str]) -> None:
    assert find_unknown(expression) == unknown
