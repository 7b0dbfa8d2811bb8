"""Runs that somebody or something else interferes with."""

from tests.reliability.stage import Stage, make_diemjob
from tests.reliability.story import story


@story
def quota_is_used_up_for_a_while(stage: Stage) -> None:
    """No Job may be made for a time; the start waits, and is not forgotten."""
    stage.create(make_diemjob("etl"))
    stage.forbid_jobs()
    stage.start("etl", "waiting")
    stage.wait_run("etl", "Submitted", "waiting")
    stage.allow_jobs()
    stage.wait_run("etl", "Running", "waiting")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "waiting")


@story
def job_is_deleted_by_hand(stage: Stage) -> None:
    """A person deletes the Job of a run that goes on: the run has failed, and nothing starts it again."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "deleted")
    stage.wait_run("etl", "Running", "deleted")
    stage.delete_jobs("etl")
    stage.wait_run("etl", "Failed", "deleted", reason="JobDeleted")
    stage.start("etl", "next")
    stage.wait_run("etl", "Running", "next")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "next")


@story
def job_is_edited_by_hand(stage: Stage) -> None:
    """A person takes our label off a Job, suspends it, and lets it go on."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "edited")
    stage.wait_run("etl", "Running", "edited")
    stage.patch_jobs("etl", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}})
    stage.patch_jobs("etl", {"spec": {"suspend": True}})
    stage.wait_run("etl", "Pending", "edited")
    stage.patch_jobs("etl", {"spec": {"suspend": False}})
    stage.wait_run("etl", "Running", "edited")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "edited")


@story
def job_has_a_finalizer_of_somebody_else(stage: Stage) -> None:
    """Something holds the Job of a stopped run: the run is not over, and no other begins, until it is gone."""
    finalizer = "example.com/hold"
    stage.create(make_diemjob("etl"))
    stage.start("etl", "held")
    stage.wait_run("etl", "Running", "held")
    stage.patch_jobs("etl", {"metadata": {"finalizers": [finalizer]}})
    stage.stop("etl")
    stage.wait_run("etl", "Stopping", "held")
    stage.start("etl", "next")
    stage.patch_jobs("etl", {"metadata": {"finalizers": None}})
    stage.wait_run("etl", "Running", "next")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "next")


@story
def diemjob_has_a_finalizer_of_somebody_else(stage: Stage) -> None:
    """Something holds a DiemJob that is deleted: nothing is started for it any more, and it takes its run with it."""
    stage.create(make_diemjob("etl"))
    held = stage.start("etl", "held")["run"]["id"]
    stage.wait_run("etl", "Running", "held")
    with stage.held("etl"):
        stage.begin_deletion("etl")
        stage.patch("etl", {"state": "running", "run": {"id": "too-late"}})
        stage.pause(1)
        jobs = [job["metadata"] for job in stage.list_jobs("etl")]
        assert [job["name"] for job in jobs] == [stage.find_job_name("etl", held)]
        assert "deletionTimestamp" not in jobs[0], "it goes with its DiemJob, not before"
    stage.delete("etl")
    stage.create(make_diemjob("etl"))
    stage.start("etl", "next")
    stage.wait_run("etl", "Running", "next")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "next")


@story
def name_of_the_job_is_taken(stage: Stage) -> None:
    """Somebody else's Job has the name that the next run needs; it is left alone."""
    stage.create(make_diemjob("etl"))
    stage.create_foreign_job(stage.find_job_name("etl", "mine"), diemjob="etl", run_id="mine")
    stage.patch("etl", {"state": "running", "run": {"id": "mine"}})
    stage.wait_run("etl", "Failed", "mine", reason="JobNameTaken")
    stage.start("etl", "next")
    stage.wait_run("etl", "Running", "next")
    stage.stop("etl")
    stage.wait_run("etl", "Stopped", "next", reason="StopRequested")


@story
def name_of_the_job_is_taken_for_another_diemjob(stage: Stage) -> None:
    """The Job with the name and the id that the next run needs has an owner, and that is another DiemJob."""
    stage.create(make_diemjob("etl"))
    stage.create(make_diemjob("other"))
    stage.create_foreign_job(stage.find_job_name("etl", "mine"), diemjob="other", run_id="mine", owner="other")
    stage.wait_run("other", "Pending", "mine", reason="JobSuspended")
    stage.patch("etl", {"state": "running", "run": {"id": "mine"}})
    stage.wait_run("etl", "Failed", "mine", reason="JobNameTaken")


@story
def job_of_a_deleted_diemjob_stays(stage: Stage) -> None:
    """Somebody holds the Job of a deleted DiemJob; the next one of that name does not take it for its own."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "old")
    stage.wait_run("etl", "Running", "old")
    stage.patch_jobs("etl", {"metadata": {"finalizers": ["example.com/hold"]}})
    stage.delete("etl")
    stage.create(make_diemjob("etl"))
    stage.start("etl", "new")
    stage.wait_run("etl", "Submitted", "new", reason="WaitingForOldJobs")
    stage.patch_jobs("etl", {"metadata": {"finalizers": None}})
    stage.wait_run("etl", "Running", "new")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "new")


@story
def diemjob_is_restored_from_a_backup(stage: Stage) -> None:
    """A DiemJob comes back with the spec that it had, another uid and no status: its old request starts nothing."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "old")
    stage.wait_run("etl", "Running", "old")
    backup = stage.read("etl")
    stage.delete("etl")
    stage.create({**backup, "metadata": {"name": "etl"}})
    stage.wait_answered("etl")
    stage.start("etl", "new")
    stage.wait_run("etl", "Running", "new")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "new")


@story
def status_is_wiped_by_hand(stage: Stage) -> None:
    """A person empties the status after a run: nothing starts again because of that."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "first")
    stage.wait_run("etl", "Running", "first")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "first")
    stage.wait_recorded("etl")
    stage.wipe_status("etl")
    stage.wait_answered("etl")
