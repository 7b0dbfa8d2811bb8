"""The token of a process ends or is replaced while it works."""

from http import HTTPStatus

import pytest

from tests.reliability.matrix import long_form
from tests.reliability.people import make_diemjob
from tests.reliability.playing import Theatre, conclude
from tests.reliability.processes import Program
from tests.reliability.proxy.faults import LoseRequest, refusal
from tests.reliability.proxy.server import LOOK_SECONDS


@pytest.mark.parametrize("role", ["operator", pytest.param("api", marks=long_form)])
def test_token_that_is_refused_is_read_again(theatre: Theatre, role: str) -> None:
    with theatre.stage() as stage:
        program = stage.installation.operator if role == "operator" else stage.installation.api
        file = program.directory / f"{program.name}.token"
        good = file.read_text()
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        file.write_text("expired")
        # Once refused, it reads the file, and then the API server itself refuses what stands there.
        with program.proxy.rules.during(lambda _: True, LoseRequest(refusal(401))):
            program.proxy.cut()
            stage.finish_pods("etl")
            stage.pause(10 * LOOK_SECONDS)  # the proxy breaks watches only when it looks
            program.proxy.mend()
            stage.pause(2)
        stage.wait_until("the bad token was read and refused", lambda: was_refused(program))
        file.write_text(good)
        stage.wait_run("etl", "Completed", "first")
        stage.start("etl", "second")
        stage.wait_run("etl", "Running", "second")
        stage.stop("etl")
        stage.wait_run("etl", "Stopped", "second", reason="StopRequested")

        assert conclude(stage).complaints == []


def was_refused(program: Program) -> bool:
    return any(each.status == HTTPStatus.UNAUTHORIZED for each in program.proxy.exchanges)
