"""What callers are told, or spared, while one of our processes is away or hears of nothing. No other faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from tests.reliability.playing import Theatre, conclude
from tests.reliability.proxy.watches import Watching, half_open
from tests.reliability.stage import Stage, make_diemjob

MORE_THAN_IS_KEPT = 12
"""Starts and stops: twice as many commands, where the record of those that nobody has accounted for holds 16."""


def test_commands_are_refused_rather_than_forgotten(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl", runHistoryLimit=50))
        stage.wait_answered("etl")
        with stage.away(stage.installation.operator):
            answers = {stage.try_to("etl", action) for _ in range(MORE_THAN_IS_KEPT) for action in ("start", "stop")}

        assert answers == {HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS}
        stage.wait_answered("etl")
        assert conclude(stage).complaints == []


def test_repeated_start_undoes_no_stop(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.wait_answered("etl")
        with stage.away(stage.installation.operator):
            stage.start("etl", "first")
            stage.stop("etl")
            stage.repeat_start("etl", "first")

        stage.wait_run("etl", "Stopped", "first", reason="NeverStarted")
        assert conclude(stage).complaints == []


def test_api_that_hears_of_nothing_reads_what_callers_act_on_for_good(theatre: Theatre) -> None:
    """That a run is over, or nothing is to be stopped, it says of what the API server has."""
    with theatre.stage() as stage:
        names = ("asked", "stopped")  # a read for one answer is known to the next
        for name in names:
            stage.create(make_diemjob(name))
            stage.see(name, "Stopped")
        with blind_api(stage):
            for name in names:
                stage.set_state(name, "running")
                stage.wait_run(name, "Running", "state-1")

            assert stage.ask("asked")["message"] == "Running"
            assert stage.stop("stopped")["message"] == "job stopped"
            stage.wait_run("stopped", "Stopped", "state-1", reason="StopRequested")
        stage.stop("asked")
        stage.wait_run("asked", "Stopped", "state-1", reason="StopRequested")
        assert conclude(stage).complaints == []


@contextmanager
def blind_api(stage: Stage) -> Iterator[None]:
    """Let the watches of DiemJobs that the API has tell nothing, and not end, while the block runs."""
    api = stage.installation.api
    silent = stage.watch_anew(api, "diemjobs", Watching(half_open()))
    yield
    api.proxy.rules.remove(silent)
    api.proxy.break_connections()
