"""Helm, built once, and the chart it renders."""

import pytest

from tests.chart.rendering import Chart
from tests.localcluster import programs
from tests.localcluster.building import obtain
from tests.localcluster.reporting import to_stderr


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart; each set of values is rendered once."""
    return Chart(helm=obtain([programs.HELM], to_stderr)["helm"])
