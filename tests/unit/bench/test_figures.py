"""Figures beside their baselines: the ratio, whether a goal is met in either direction, percentiles, the JSON."""

import json
from pathlib import Path

import pytest

from tests.bench.figures import Figure, Report, find_percentile


@pytest.mark.parametrize(
    ("figure", "ratio", "is_met"),
    [
        pytest.param(Figure("latency", 6.0, "ms", baseline=2.0, goal=3.0), 3.0, True, id="at most so many baselines"),
        pytest.param(Figure("latency", 6.1, "ms", baseline=2.0, goal=3.0), 3.05, False, id="too many"),
        pytest.param(Figure("rate", 50, "/s", baseline=100, goal=0.5, is_more_better=True), 0.5, True, id="at least"),
        pytest.param(Figure("rate", 49, "/s", baseline=100, goal=0.5, is_more_better=True), 0.49, False, id="too few"),
        pytest.param(Figure("memory", 150, "MB", goal=150), None, True, id="without a baseline"),
        pytest.param(Figure("writes", 1, "", goal=0), None, False, id="more than none"),
        pytest.param(Figure("memory", 150, "MB"), None, None, id="without a goal"),
    ],
)
def test_goal_is_a_ratio_where_there_is_a_baseline(figure: Figure, ratio: float | None, is_met: bool | None) -> None:
    assert figure.ratio == pytest.approx(ratio)
    assert figure.is_met is is_met


def test_report_is_printed_line_by_line_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("two processors")
    report.add(Figure("burst", 300, "jobs/s", 1000, "bare POST", 0.25, is_more_better=True))
    assert capsys.readouterr().out.split() == [
        "burst",
        "300",
        "jobs/s",
        "1000",
        "0.30",
        "≥",
        "0.25",
        "met",
        "(bare",
        "POST)",
    ]

    report.write(tmp_path / "bench.json")
    told = json.loads((tmp_path / "bench.json").read_text())
    assert told["machine"] == "two processors"
    assert (told["figures"][0]["ratio"], told["figures"][0]["is_met"]) == (0.3, True)


def test_percentiles_are_between_the_measured_values() -> None:
    seconds = [float(each) for each in range(101)]
    assert find_percentile(seconds, 50) == 50
    assert find_percentile(seconds, 99) == 99
    assert find_percentile([3.0], 99) == 3.0
