"""etcd is restored from an older snapshot: resourceVersions go back, and what happened since is undone.

Everything of the control plane is started anew then, and is back within a second or two; our processes are not. The
API had gone on to tell what was before, for a minute: a watch from a resourceVersion that the restored store has not
reached is silent, and what the API itself had written looked newer than a list.

The oracle judges what comes after the restore, by all its rules. What was between snapshot and restore binds nobody:
a start that was accepted, a stop that was acknowledged, an end that was told, a Job that was made. What callers were
told before has to hold still, and only the leader may write, all the time. One end of the operator's process is no
mistake here: that is how it begins anew.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from tests.localcluster import LocalCluster
from tests.reliability.history import find_outcome
from tests.reliability.installation import open_site
from tests.reliability.matrix import long_form
from tests.reliability.people import make_diemjob, restart_garbage_collector, wait_for_diemjobs
from tests.reliability.playing import Theatre, conclude
from tests.reliability.stage import Stage


@pytest.fixture(scope="module")
def own_theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A cluster whose past may be changed."""
    with open_site(tmp_path_factory.mktemp("restored")) as site:
        yield Theatre(site)


class Snapshot:
    """The store as it was at one moment, and what callers had been told by then."""

    def __init__(self, stage: Stage, cluster: LocalCluster, directory: Path) -> None:
        self._stage = stage
        self._told = deepcopy(stage.told)
        self._cluster = cluster
        self._data = cluster.directory / "etcd"
        self._copy = directory / "etcd"
        with self._without_control_plane():
            shutil.copytree(self._data, self._copy)
        restart_garbage_collector(cluster)

    def restore(self) -> None:
        """Put the store back; the oracle judges from then on."""
        with self._without_control_plane():
            shutil.rmtree(self._data)
            shutil.copytree(self._copy, self._data)
        self._stage.begin_anew(self._told)
        restart_garbage_collector(self._cluster)

    @contextmanager
    def _without_control_plane(self) -> Iterator[None]:
        parts = list(self._cluster.components.values())
        for part in reversed(parts):
            part.kill()
        yield
        for part in parts:
            part.start()
        wait_for_diemjobs(self._cluster)


def make_busy(stage: Stage, count: int = 30) -> None:
    """Let resourceVersions go on, far beyond the snapshot's."""
    for place in range(count):
        stage.kube.create("configmaps", stage.namespace, {"metadata": {"name": f"filler-{place}"}})


def check_jobs(stage: Stage, *, outcomes: list[str]) -> None:
    assert sorted(find_outcome(job) for job in stage.list_jobs("etl")) == sorted(outcomes)


def check_judged(stage: Stage) -> None:
    """Nothing was wrong since the restore, and the operator, and no other process, ended for it, once."""
    operator = stage.installation.operator
    assert conclude(stage).complaints == [f"{operator.name} ended by itself"]
    assert operator.deaths == 1


@long_form
def test_run_that_was_started_after_the_snapshot_never_was(own_theatre: Theatre, tmp_path: Path) -> None:
    with own_theatre.stage() as stage:
        stage.create_foreign_job("foreign", diemjob="nobody", run_id="kept")
        stage.create(make_diemjob("etl"))
        stage.start("etl", "kept")
        stage.wait_run("etl", "Running", "kept")
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "kept")
        stage.wait_answered("etl")
        snapshot = Snapshot(stage, own_theatre.site.cluster, tmp_path)
        stage.start("etl", "lost")
        stage.wait_run("etl", "Running", "lost")
        make_busy(stage)

        snapshot.restore()
        stage.see("etl", "Completed")
        check_jobs(stage, outcomes=["Complete"])

        stage.start("etl", "next")
        stage.wait_run("etl", "Running", "next")
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "next")
        check_jobs(stage, outcomes=["Complete", "Complete"])
        check_judged(stage)


@long_form
def test_run_that_ended_after_the_snapshot_goes_on(own_theatre: Theatre, tmp_path: Path) -> None:
    with own_theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "resumed")
        stage.wait_run("etl", "Running", "resumed")
        snapshot = Snapshot(stage, own_theatre.site.cluster, tmp_path)
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "resumed")
        make_busy(stage)

        snapshot.restore()
        stage.see("etl", "Running")
        check_jobs(stage, outcomes=[""])

        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "resumed")
        stage.see("etl", "Completed")
        check_jobs(stage, outcomes=["Complete"])
        check_judged(stage)


@long_form
def test_stop_that_the_snapshot_does_not_know_can_be_repeated(own_theatre: Theatre, tmp_path: Path) -> None:
    with own_theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        snapshot = Snapshot(stage, own_theatre.site.cluster, tmp_path)
        stage.stop("etl")
        stage.wait_run("etl", "Stopped", "first")
        make_busy(stage)

        snapshot.restore()
        stage.see("etl", "Running")
        stage.stop("etl")
        stage.wait_run("etl", "Stopped", "first")
        check_jobs(stage, outcomes=[])
        check_judged(stage)


@long_form
def test_stop_that_the_snapshot_knows_holds(own_theatre: Theatre, tmp_path: Path) -> None:
    finalizer = "example.com/hold"
    with own_theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        stage.patch_jobs("etl", {"metadata": {"finalizers": [finalizer]}})
        stage.stop("etl")
        stage.wait_run("etl", "Stopping", "first")
        snapshot = Snapshot(stage, own_theatre.site.cluster, tmp_path)
        stage.patch_jobs("etl", {"metadata": {"finalizers": None}})
        stage.wait_run("etl", "Stopped", "first")
        make_busy(stage)

        snapshot.restore()
        stage.see("etl", "Stopping")
        check_jobs(stage, outcomes=[""])

        stage.patch_jobs("etl", {"metadata": {"finalizers": None}})
        stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
        check_jobs(stage, outcomes=[])
        check_judged(stage)


@long_form
def test_diemjob_that_the_snapshot_does_not_know_is_forgotten(own_theatre: Theatre, tmp_path: Path) -> None:
    with own_theatre.stage() as stage:
        stage.create(make_diemjob("other"))
        stage.wait_answered("other")
        snapshot = Snapshot(stage, own_theatre.site.cluster, tmp_path)
        stage.create(make_diemjob("etl", state="running"))
        stage.wait_run("etl", "Running", "state-1")
        make_busy(stage)

        snapshot.restore()
        stage.forget("etl")
        stage.see("other", "Stopped")
        stage.create(make_diemjob("etl", state="running"))
        stage.wait_run("etl", "Running", "state-1")
        check_jobs(stage, outcomes=[""])
        check_judged(stage)
