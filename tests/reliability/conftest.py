"""One cluster with a simulated node for all stories, and proxies in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localcluster import LocalCluster
from tests.reliability.installation import open_site
from tests.reliability.matrix import IS_LONG, ONLY, UNMET
from tests.reliability.people import restart_garbage_collector
from tests.reliability.playing import Theatre

HERE = Path(__file__).parent

SHORT_FORM_SECONDS = 360
"""What the short form may take where nothing else runs; told after each run, since no test may depend on time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Play the stories without faults first, all others are compared to them; and overlook unclosed sockets.

    Connections are torn away here on purpose, and a socket that aiohttp was still opening then is collected unclosed.
    """
    ours = [place for place, item in enumerate(items) if item.path.parent == HERE]
    if ours:
        whole = slice(ours[0], ours[-1] + 1)
        items[whole] = sorted(items[whole], key=lambda item: item.path.name != "test_undisturbed.py")
    overlooked = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(overlooked)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say, also when all went well, where no fault was met, and how long it took."""
    for line in UNMET:
        terminalreporter.write_line(line)
    here = HERE.relative_to(terminalreporter.config.rootpath).as_posix()
    reports = [each for kind in terminalreporter.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    ours = [report.duration for report in reports if report.nodeid.startswith(f"{here}/")]
    if ours:
        limit = "" if IS_LONG or ONLY else f"; the short form is to take less than {SHORT_FORM_SECONDS} s"
        terminalreporter.write_line(f"Faults: {sum(ours):.0f} s{limit}")


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    with open_site(tmp_path_factory.mktemp("stories")) as site:
        restart_garbage_collector(site.cluster)
        yield Theatre(site)


@pytest.fixture(scope="session")
def story_cluster(theatre: Theatre) -> LocalCluster:
    return theatre.site.cluster
