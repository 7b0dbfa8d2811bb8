"""`make demo`: the story on a cluster of its own, which is gone when the story is over."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hack.local.actors import Person, Program
from hack.local.calls import Caller
from hack.local.endings import ignore_further_signals
from hack.local.errors import LocalRunError
from hack.local.installation import ROOT, SAMPLES, wait_for_token
from hack.local.narrator import Narrator
from hack.local.reporting import say
from hack.local.stack import Stack, running_stack
from hack.local.story import Story
from tests.localcluster import LocalClusterError, NodeKind
from tests.localcluster.reporting import Log

_ANY_FREE_PORT = 0


def demo(node: NodeKind) -> None:
    """Play the story.

    Raises:
        LocalRunError, LocalClusterError: a step was not as it should be.
    """
    started = time.monotonic()
    narrator = Narrator()
    with running_stack(node, port=_ANY_FREE_PORT, log=say) as stack, explained_failure(stack, narrator, say):
        story = begin(stack, narrator)
        story.play()
        say(f"\nAll {narrator.step} steps went as they should, {time.monotonic() - started:.0f} s after the beginning")
    say("Everything is removed")


def begin(stack: Stack, narrator: Narrator) -> Story:
    """Apply the samples, wait until they are taken up, and give the program its key."""
    narrator.begin("A person applies a namespace, two DiemJobs and a DiemApiKey")
    person = Person(cluster=stack.cluster, narrator=narrator)
    person.kubectl("apply", "--filename", SAMPLES.relative_to(ROOT).as_posix())
    taken_up = ("wait", "--for=condition=Ready", "--timeout=60s")
    person.kubectl(*taken_up, "diemjob/hello", "diemjob/ticker", "diemapikey/caller")
    token = wait_for_token(stack.cluster)
    narrator.remarked(f"The operator has issued the key ({len(token)} characters, in a Secret)")
    if not shutil.which("curl"):
        narrator.remarked("There is no curl on this machine: Python's urllib sends what the lines below say")
    program = Program(caller=Caller(url=stack.url, token=token), narrator=narrator)
    return Story(person=person, program=program, narrator=narrator, has_logs=not stack.is_simulated)


@contextmanager
def explained_failure(stack: Stack, narrator: Narrator, log: Log) -> Iterator[None]:
    """Say which step failed, and what the operator and the API logged last; nothing may interrupt the end."""
    try:
        yield
    except (LocalRunError, LocalClusterError) as error:
        log(f"\nFAILED in step {narrator.step}: {error}")
        for component in (stack.operator, stack.api):
            log(f"\n{component.log_tail()}")
        raise
    finally:
        ignore_further_signals()
