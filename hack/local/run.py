"""`make run`: everything for a person to try, until Ctrl-C."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.local.calls import Caller
from hack.local.endings import ignore_further_signals
from hack.local.following import LogFollower
from hack.local.greeting import STATUS, Welcome, build_welcome
from hack.local.installation import DEMO_NAMESPACE, apply_samples, wait_for_token
from hack.local.reporting import say
from hack.local.stack import Stack, running_stack
from hack.local.waiting import wait_for
from hack.local.workspace import Workspace, held_workspace
from tests.localcluster import NodeKind

_POLL_SECONDS = 0.2


def run(node: NodeKind, *, port: int, folder: Path) -> None:
    """Run until told to end.

    Args:
        node: what runs the pods.
        port: where the API listens on 127.0.0.1; 0 for any free port.
        folder: gets what other terminals need; empty again afterwards.
    """
    with held_workspace(folder) as workspace, running_stack(node, port=port, log=say) as stack, announced_end():
        apply_samples(stack.cluster)
        token = wait_for_token(stack.cluster)
        caller = Caller(url=stack.url, token=token)
        wait_for("the API to know the key", lambda: caller.ask_with_urllib(STATUS).status == 200)  # noqa: PLR2004 - OK
        publish(stack, workspace, token=token)
        say(build_welcome(_build_facts(stack, workspace, token)))
        follow(stack)
    say("Everything is removed")


@contextmanager
def announced_end() -> Iterator[None]:
    """Say that the end has come, which nothing may interrupt; being told to end is how a run ends well."""
    try:
        yield
    except KeyboardInterrupt:
        say("\nEnding: everything is being removed")
    finally:
        ignore_further_signals()


def publish(stack: Stack, workspace: Workspace, *, token: str) -> None:
    """Tell other terminals and scripts; the env file comes last, so that whoever sees it may begin."""
    workspace.link_kubectl(stack.cluster.kubectl_path)
    workspace.write_pid("operator", stack.operator.pid)
    workspace.write_pid("api", stack.api.pid)
    workspace.write_env(
        {
            "DIEM_URL": stack.url,
            "DIEM_API_KEY": token,
            "DIEM_NAMESPACE": DEMO_NAMESPACE,
            "KUBECONFIG": str(stack.cluster.admin_kubeconfig),
        }
    )


def follow(stack: Stack) -> None:
    """Print what the operator and the API log, for as long as every process lives."""
    followers = [LogFollower("operator", stack.operator.log_file), LogFollower("api     ", stack.api.log_file)]
    while True:
        for follower in followers:
            for line in follower.read_new():
                say(line)
        stack.require_alive()
        time.sleep(_POLL_SECONDS)


def _build_facts(stack: Stack, workspace: Workspace, token: str) -> Welcome:
    return Welcome(
        url=stack.url,
        token=token,
        namespace=DEMO_NAMESPACE,
        env_file=workspace.env_file.resolve(),
        kubectl=_from_here(workspace.kubectl),
        is_simulated=stack.is_simulated,
    )


def _from_here(path: Path) -> Path:
    """Return the path as short as it can be written from this folder, without following links."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
