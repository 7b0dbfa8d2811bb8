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
    for token in (revoked, old):
        stage.see_refused("etl", token)
