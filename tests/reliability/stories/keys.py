"""Keys that are issued, revoked, deleted and made anew while callers work with them."""

from tests.reliability.stage import Stage, make_diemjob
from tests.reliability.story import story


@story
def keys_come_and_go(stage: Stage) -> None:
    """One key is revoked, another one deleted and made anew: only the token of the new one opens anything."""
    stage.create(make_diemjob("etl"))
    revoked, old = stage.issue_key("revoked"), stage.issue_key("renewed")
    stage.start("etl", "first", token=revoked)
    stage.wait_run("etl", "Running", "first")
    stage.revoke_key("revoked")
    stage.see_refused("etl", revoked)
    stage.ask("etl", token=old)
    stage.delete_key("renewed")
    new = stage.issue_key("renewed")
    stage.stop("etl", token=new)
    stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
    for token in (revoked, old, old):
        stage.see_refused("etl", token)


@story
def keys_expire_and_linger(stage: Stage) -> None:
    """One key expires, another one is deleted and held by somebody's finalizer: neither opens anything any more."""
    stage.create(make_diemjob("etl"))
    expired, held = stage.issue_key("expired"), stage.issue_key("held")
    stage.start("etl", "first", token=expired)
    stage.wait_run("etl", "Running", "first")
    stage.ask("etl", token=held)
    stage.let_key_expire("expired")
    with stage.held("held", resource="diemapikeys"):
        stage.begin_deletion("held", resource="diemapikeys")
        for token in (expired, held):
            stage.see_refused("etl", token)
    stage.stop("etl")
    stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
    for token in (expired, held):
        stage.see_refused("etl", token)
