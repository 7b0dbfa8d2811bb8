"""The dashboard asks for what the processes serve, and explains what it shows."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs.metric_names import find_unknown, read_series

DASHBOARD = Path(__file__).resolve().parents[3] / "helm" / "diem-operator" / "files" / "dashboard.json"
GRID_COLUMNS = 24


@cache
def read_dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text(encoding="utf-8")))


def read_panels() -> list[dict[str, Any]]:
    return [panel for panel in read_dashboard()["panels"] if panel["type"] != "row"]


def list_expressions() -> list[Any]:
    return [
        pytest.param(target["expr"].replace("$__rate_interval", "5m"), id=f"{panel['title']}-{target['refId']}")
        for panel in read_panels()
        for target in panel["targets"]
    ]


def list_cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    columns = range(place["x"], place["x"] + place["w"])
    return {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}


def test_text_is_what_json_makes_of_it_so_that_changes_read_well() -> None:
    assert DASHBOARD.read_text(encoding="utf-8") == json.dumps(read_dashboard(), indent=2, ensure_ascii=False) + "\n"


def test_rows_are_those_that_somebody_on_call_looks_for() -> None:
    rows = [panel["title"] for panel in read_dashboard()["panels"] if panel["type"] == "row"]

    assert rows == ["Overview", "API", "Operator", "Kubernetes API", "Process"]


def test_ids_are_those_of_the_order_so_that_links_to_panels_stay_good() -> None:
    panels = read_dashboard()["panels"]

    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))


def test_panels_lie_beside_each_other_within_the_grid() -> None:
    cells = [cell for panel in read_dashboard()["panels"] for cell in list_cells(panel)]

    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < GRID_COLUMNS


@pytest.mark.parametrize("panel", [pytest.param(panel, id=panel["title"]) for panel in read_panels()])
def test_panel_has_a_description_a_unit_and_the_chosen_data_source(panel: dict[str, Any]) -> None:
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]

    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert {source["uid"] for source in sources} == {"${datasource}"}


@pytest.mark.parametrize("expression", list_expressions())
def test_panel_asks_for_series_that_exist(expression: str) -> None:
    assert find_unknown(expression) == []


@pytest.mark.parametrize("expression", list_expressions())
def test_every_selector_heeds_the_variables(expression: str) -> None:
    selectors = re.findall(r"\{([^}]*)\}", expression)

    assert selectors
    assert [text for text in selectors if 'namespace=~"$namespace",pod=~"$pod"' not in text] == []


def test_variables_come_from_series_that_exist() -> None:
    variables = {variable["name"]: variable for variable in read_dashboard()["templating"]["list"]}
    queries = [variables[name]["query"]["query"] for name in ("namespace", "pod")]
    asked = re.findall(r"diem_\w+", " ".join(queries))

    assert list(variables) == ["datasource", "namespace", "pod"]
    assert [variables[name]["definition"] for name in ("namespace", "pod")] == queries
    assert set(asked) - set(read_series()) == set()
