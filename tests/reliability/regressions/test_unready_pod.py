"""A pod runs and is not ready for long, as while a program that takes its time has a readiness probe.

Its run was ended by `startDeadlineSeconds`, although it had started in time.
"""

from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre, conclude
from tests.reliability.stage import Stage, make_diemjob

DEADLINE_SECONDS = 8


def run_without_being_ready(stage: Stage) -> bool:
    """Let the one pod that waits run, as its node would tell; return whether there was one."""
    pods = stage.kube.list_all("pods", stage.namespace)
    for pod in pods:
        conditions = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
        status = {"phase": "Running", "conditions": conditions}
        stage.kube.patch("pods", stage.namespace, pod["metadata"]["name"], {"status": status}, subresource="status")
    return bool(pods)


@long_form
def test_run_whose_pod_is_not_ready_in_time_goes_on(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl", pod={"start-after": "never"}, startDeadlineSeconds=DEADLINE_SECONDS))
        stage.start("etl", "first")
        stage.wait_until("its pod runs", lambda: run_without_being_ready(stage))
        stage.pause(DEADLINE_SECONDS + 3)
        assert stage.status_of("etl")["run"]["phase"] in {"Pending", "Running"}
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "first")

        assert conclude(stage).complaints == []
