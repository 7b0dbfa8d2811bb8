"""The API server and etcd end and come back, in the middle of a write or after it, at once or after a while."""

import threading
from collections.abc import Callable
from functools import partial

import pytest

from tests.localcluster import Component, LocalCluster
from tests.reliability.installation import Installation
from tests.reliability.matrix import Case, Point, run_all
from tests.reliability.people import wait_for_diemjobs
from tests.reliability.playing import Theatre
from tests.reliability.points import interrupt, is_reached, list_calls
from tests.reliability.proxy import Rule
from tests.reliability.story import Story, list_stories

LONGER_THAN_A_LEASE_SECONDS = 5.0

OUTAGE_PATIENCE_SECONDS = 180.0
"""More than usual: also what does not belong to us has to come back."""

Outage = Callable[[LocalCluster], None]


def kill(component: Component) -> None:
    component.kill()
    component.start()


def kill_apiserver(cluster: LocalCluster) -> None:
    kill(cluster.apiserver)


def kill_etcd(cluster: LocalCluster) -> None:
    kill(cluster.etcd)


def kill_both(cluster: LocalCluster) -> None:
    cluster.apiserver.kill()
    kill(cluster.etcd)
    cluster.apiserver.start()


def take_away_for_a_while(cluster: LocalCluster) -> None:
    cluster.apiserver.stop()
    threading.Event().wait(LONGER_THAN_A_LEASE_SECONDS)
    cluster.apiserver.start()


def freeze(cluster: LocalCluster) -> None:
    cluster.apiserver.pause()
    threading.Event().wait(LONGER_THAN_A_LEASE_SECONDS)
    cluster.apiserver.resume()


def restart_controllers(cluster: LocalCluster) -> None:
    """Let Kubernetes' own controllers begin anew, when there is all they ask for.

    They are refused while the API server loads its rights; by themselves, some ask again only minutes later. The node's
    own program is not: and a new one would wait until the node's lease, which the one before has renewed, runs out.
    """
    wait_for_diemjobs(cluster)
    for component in (cluster.controller_manager, cluster.scheduler):
        assert component is not None
        component.restart()


OUTAGES: dict[str, Outage] = {
    "API server killed": kill_apiserver,
    "etcd killed": kill_etcd,
    "both killed": kill_both,
    "API server away": take_away_for_a_while,
    "API server frozen": freeze,
}
CREATED = Point("create jobs", 1)
DELETED = Point("delete jobs", 1)
TOLD = Point("patch diemjobs/status", 3)
CHOSEN = {("API server killed", TOLD, False), ("both killed", DELETED, True)}
"""What the short form tries, in one story."""


def check(theatre: Theatre, story: Story, outage: Outage, point: Point, *, is_after: bool) -> bool:
    """Play a story in which the control plane goes at a point; return whether that came."""
    rules: list[Rule] = []

    def strike() -> None:
        outage(theatre.site.cluster)
        restart_controllers(theatre.site.cluster)

    def arrange(installation: Installation) -> None:
        rules.append(interrupt(installation, point, strike, is_after=is_after))

    theatre.check(story, arrange, patience_seconds=OUTAGE_PATIENCE_SECONDS)
    return is_reached(point, rules[0])


def build_cases(theatre: Theatre, story: Story) -> list[Case]:
    is_chosen = story.name == "run_is_stopped_and_started_again"
    calls = list_calls(theatre, story, "operator")
    return [
        Case(
            name=f"{story} {name} {'after' if is_after else 'before'} {point}",
            run=partial(check, theatre, story, outage, point, is_after=is_after),
            is_long=not is_chosen or (name, point, is_after) not in CHOSEN,
        )
        for name, outage in OUTAGES.items()
        for point in (CREATED, DELETED, TOLD)
        if point in calls
        for is_after in (False, True)
    ]


@pytest.mark.matrix
@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_control_plane_may_end_and_come_back(theatre: Theatre, story: Story) -> None:
    run_all(build_cases(theatre, story), at_once=1)
