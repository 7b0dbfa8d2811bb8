"""The story that `make demo` plays, step by step: a job that ends, a job that is stopped, a key that is taken away.

Each step raises StoryError when the world is not as the step promises. The last step leaves a key that opens nothing.
"""

import time
from dataclasses import dataclass

from hack.local.actors import Person, Program, expect
from hack.local.calls import Call
from hack.local.installation import DEMO_KEY
from hack.local.narrator import Narrator
from hack.local.waiting import wait_for
from tests.localcluster.errors import KubectlError

_IDEMPOTENT_START = Call(body={"id": "ticker", "action": "start"}, headers={"Idempotency-Key": "demo-1"})
_REVOCATION_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Story:
    """The steps, to be played in the order in which they stand here.

    Attributes:
        has_logs: whether pods really run.
    """

    person: Person
    program: Program
    narrator: Narrator
    has_logs: bool

    def play(self) -> None:
        """Play all of it."""
        self.ask_for_a_job_that_never_ran()
        self.start_a_job_that_ends()
        self.see_it_completed()
        run_id = self.start_a_job_that_does_not_end()
        self.repeat_that_start(run_id)
        self.stop_it()
        self.see_that_nothing_runs()
        self.revoke_the_key()

    def ask_for_a_job_that_never_ran(self) -> None:
        """Status without any run."""
        self.narrator.begin("A program asks for the status of hello, which never ran")
        answer = self.program.ask(Call(body={"id": "hello", "action": "status"}))
        expect("HTTP status", answer.status, 200)
        expect("message", answer.message, "Stopped")

    def start_a_job_that_ends(self) -> None:
        """Start, Running, logs."""
        self.narrator.begin("It starts hello, and a pod runs")
        call = Call(body={"id": "hello", "action": "start", "parameters": {"NAME": "newcomer"}})
        answer = self.program.ask(call)
        expect("HTTP status", answer.status, 200)
        expect("message", answer.message, "job started")
        self.program.follow("hello", until="Running")
        self._expect_log("hello", "Hello, newcomer")

    def see_it_completed(self) -> None:
        """Completed, for the program and for a person."""
        self.narrator.begin("hello ends by itself")
        self.program.follow("hello", until="Completed")
        self.person.kubectl("get", "diemjobs")
        self._expect_log("hello", "Goodbye, newcomer")

    def start_a_job_that_does_not_end(self) -> str:
        """Start with an Idempotency-Key, and return the id of the run."""
        self.narrator.begin("The program starts ticker, which does not end, with an Idempotency-Key")
        answer = self.program.ask(_IDEMPOTENT_START)
        expect("HTTP status", answer.status, 200)
        expect("message", answer.message, "job started")
        self.program.follow("ticker", until="Running")
        return answer.run_id

    def repeat_that_start(self, run_id: str) -> None:
        """Start again with the same Idempotency-Key."""
        self.narrator.begin("It repeats that start, as after a lost answer: nothing changes")
        answer = self.program.ask(_IDEMPOTENT_START)
        expect("HTTP status", answer.status, 200)
        expect("message", answer.message, "job started")
        expect("id of the run", answer.run_id, run_id)
        jobs = self.person.kubectl("get", "jobs", "--selector=diem.io/diemjob=ticker", "--output=name")
        expect("number of Jobs of ticker", len(jobs.split()), 1)

    def stop_it(self) -> None:
        """Stop, Stopped."""
        self.narrator.begin("It stops ticker")
        answer = self.program.ask(Call(body={"id": "ticker", "action": "stop"}))
        expect("HTTP status", answer.status, 200)
        expect("message", answer.message, "job stopped")
        self.program.follow("ticker", until="Stopped")

    def see_that_nothing_runs(self) -> None:
        """Stopped means that the pods are gone, not that they are told to go."""
        self.narrator.begin("Stopped means that its pod is really gone")
        pods = self.person.kubectl("get", "pods", "--selector=diem.io/diemjob=ticker", "--output=name")
        expect("pods of ticker", pods.split(), [])
        self.person.kubectl("get", "diemjobs")

    def revoke_the_key(self) -> None:
        """Revoked, 401."""
        self.narrator.begin("A person revokes the key, and it opens nothing any more")
        self.person.kubectl("patch", "diemapikey", DEMO_KEY, "--type=merge", "--patch", '{"spec":{"revoked":true}}')
        call = Call(body={"id": "hello", "action": "status"})
        revoked = time.monotonic()
        wait_for("401", lambda: self.program.caller.ask(call).status == 401, within_seconds=_REVOCATION_SECONDS)  # noqa: PLR2004 - HTTP's own
        self.narrator.remarked(f"refused {time.monotonic() - revoked:.1f} s later:")
        expect("HTTP status", self.program.ask(call).status, 401)

    def _expect_log(self, job: str, line: str) -> None:
        if not self.has_logs:
            self.narrator.remarked(f"The node is simulated, so there is no log that would say: {line}")
            return
        logs = ("logs", f"--selector=diem.io/diemjob={job}", "--tail=-1")
        # A pod runs a moment before what its program prints can be read.
        wait_for(f"{line!r} in the log of {job}", lambda: line in self._read_log(*logs), within_seconds=10.0)
        self.person.kubectl(*logs)

    def _read_log(self, *arguments: str) -> str:
        try:
            return self.person.look(*arguments)
        except KubectlError:
            return ""
