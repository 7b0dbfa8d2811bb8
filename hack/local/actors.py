"""Who acts in the story: a person with kubectl and a program with a key. Each tells what it does and what it gets."""

import shlex
from dataclasses import dataclass

from hack.local.calls import Answer, Call, Caller
from hack.local.errors import NotInTimeError, StoryError
from hack.local.installation import DEMO_NAMESPACE
from hack.local.narrator import Narrator
from hack.local.waiting import wait_for
from tests.localcluster import LocalCluster


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with kubectl, in the sample namespace."""

    cluster: LocalCluster
    narrator: Narrator

    def kubectl(self, *arguments: str) -> str:
        """Do what kubectl does, for everybody to see."""
        self.narrator.asked(shlex.join(["kubectl", "-n", DEMO_NAMESPACE, *arguments]))
        printed = self.look(*arguments)
        self.narrator.answered(printed)
        return printed

    def look(self, *arguments: str) -> str:
        """Do the same without a word."""
        return self.cluster.kubectl(f"--namespace={DEMO_NAMESPACE}", *arguments)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that knows only HTTP."""

    caller: Caller
    narrator: Narrator

    def ask(self, call: Call) -> Answer:
        """Make a call, for everybody to see."""
        self.narrator.asked(call.curl_line)
        answer = self.caller.ask(call)
        self.narrator.answered(f"{answer.status} {answer.text}")
        return answer

    def follow(self, job: str, *, until: str, within_seconds: float = 60.0) -> list[str]:
        """Ask for the status until it is the wanted one; return every status seen, each once.

        Raises:
            StoryError: it did not come in time.
        """
        call = Call(body={"id": job, "action": "status"})
        self.narrator.asked(call.curl_line + f"   # again and again until {until}")
        seen: list[str] = []

        def is_reached() -> bool:
            message = self.caller.ask(call).message
            if message not in seen[-1:]:
                seen.append(message)
                self.narrator.answered(message)
            return message == until

        try:
            wait_for(until, is_reached, within_seconds=within_seconds)
        except NotInTimeError as error:
            raise StoryError(f"{job} was not {until} within {within_seconds:.0f} s; seen: {', '.join(seen)}") from error
        return seen


def expect(what: str, actual: object, expected: object) -> None:
    """Compare.

    Raises:
        StoryError: they differ.
    """
    if actual != expected:
        raise StoryError(f"{what}: expected {expected!r}, got {actual!r}")
