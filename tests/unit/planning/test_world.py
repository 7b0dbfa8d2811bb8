"""What a world tells of itself, before any policy is asked."""

import pytest

from diem_operator.model.diemjob import DiemJobStatus, Phase, RunRequest, State
from tests.builders import make_diemjob, make_request, make_run, make_status, make_world


@pytest.mark.parametrize(
    ("run", "status", "is_superseded"),
    [
        pytest.param(make_request("new"), make_status(make_run("old")), True, id="new id"),
        pytest.param(make_request("new"), make_status(make_run("old", Phase.COMPLETED)), False, id="nothing live"),
        pytest.param(make_request("old"), make_status(make_run("old")), False, id="the live id"),
        pytest.param(
            None,
            make_status(make_run("old", Phase.STOPPING), observed_state=State.STOPPED),
            False,
            id="a start by state waits",
        ),
    ],
)
def test_only_a_new_id_supersedes(run: RunRequest | None, status: DiemJobStatus, is_superseded: bool) -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=run, status=status)

    assert make_world(diemjob).is_superseded is is_superseded
