"""What happens to the processes under load, one thing after the other: killed, restarted in order, frozen, starved.

At first they die; from then on the leader is only frozen past its lease, or gets next to no processor time, so that
both replicas live on and show whether they keep what they should forget. A starved process has to answer its probes.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from tests.reliability.installation import Installation
from tests.reliability.load.fleet import Fleet
from tests.reliability.load.sizes import Sizes
from tests.reliability.processes import Program
from tests.reliability.waiting import eventually

MOST_PERIOD_SECONDS = 45.0
FROZEN_SECONDS = 2.0
STARVED_SECONDS = 15.0
STARVED_SLICES = (0.01, 0.09)
"""How long a starved process may work, and how long it may not: a container with a tenth of a processor."""

DYING_SHARE = 0.45
LEAST_DEADLY, LEAST = 2, 5
"""So many happen on the slowest machine, too: the leader and the API are killed, the leader frozen and starved."""


@dataclass(frozen=True)
class Recovery:
    """How long it took until somebody led and made a Job, or the API was ready again."""

    after: str
    seconds: float


@dataclass
class Disturbances:
    """Disturbs from `begin` to `end`.

    Attributes:
        suffering: names of programs that cannot be expected to answer right now.
        kills: how often each program was killed.
    """

    installation: Installation
    sizes: Sizes
    fleet: Fleet
    suffering: set[str] = field(default_factory=set)
    recoveries: list[Recovery] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="disturbances", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Return when the last one is over."""
        self._is_over.set()
        self._thread.join()

    def complain(self) -> list[str]:
        """Return what went wrong, and who died of himself."""
        died = [
            f"{program.name} ended {program.deaths} times and was killed {self.kills[program.name]} times"
            for program in self.installation.programs
            if program.deaths != self.kills[program.name]
        ]
        return self.complaints + died

    def _run(self) -> None:
        period = min(MOST_PERIOD_SECONDS, self.sizes.seconds / 7)
        began_at = time.monotonic()
        deadly = cycle((self._kill_leader, self._kill_api, self._restart_leader, self._freeze_leader))
        harmless = cycle((self._freeze_leader, self._starve_leader))
        count = 0
        while not self._is_over.wait(period - (time.monotonic() - began_at) % period) or count < LEAST:
            is_early = time.monotonic() - began_at < self.sizes.seconds * DYING_SHARE
            is_deadly = is_early or count < LEAST_DEADLY
            count += 1
            deed: Callable[[], None] = next(deadly if is_deadly else harmless)
            try:
                deed()
            except AssertionError as error:
                self.complaints.append(f"after {deed.__name__}: {error}")

    def _kill_leader(self) -> None:
        leader = self._find_leader()
        began_at = time.monotonic()
        self._kill(leader)
        self._wait_for_leader(self.installation.operators)
        self._note("leader killed", began_at)

    def _restart_leader(self) -> None:
        leader = self._find_leader()
        began_at = time.monotonic()
        self.suffering.add(leader.name)
        stopping = threading.Thread(target=leader.stop)
        stopping.start()
        self._wait_for_leader([other for other in self.installation.operators if other is not leader])
        self._note("leader restarted", began_at)
        stopping.join()
        leader.start()
        self.suffering.discard(leader.name)

    def _freeze_leader(self) -> None:
        leader = self._find_leader()
        began_at = time.monotonic()
        self.suffering.add(leader.name)
        leader.pause()
        try:
            self._wait_for_leader([other for other in self.installation.operators if other is not leader])
            self._note("leader frozen", began_at)
            time.sleep(FROZEN_SECONDS)
        finally:
            leader.resume()
        eventually(f"{leader.name} goes on", lambda: leader.ask("/healthz")[0] == 200)
        self.suffering.discard(leader.name)

    def _starve_leader(self) -> None:
        leader = self._find_leader()
        deadline = time.monotonic() + min(STARVED_SECONDS, self.sizes.seconds / 6)
        working, waiting = STARVED_SLICES
        try:
            while time.monotonic() < deadline:
                leader.pause()
                time.sleep(waiting)
                leader.resume()
                time.sleep(working)
        finally:
            leader.resume()
        began_at = time.monotonic()
        self._wait_for_leader(self.installation.operators)
        self._note("leader starved", began_at)

    def _kill_api(self) -> None:
        began_at = time.monotonic()
        self._kill(self.installation.api)
        self.installation.api.wait_ready()
        self._note("API killed", began_at)

    def _kill(self, program: Program) -> None:
        life = program.lives
        self.suffering.add(program.name)
        self.kills[program.name] += 1
        program.kill()
        eventually(f"{program.name} is started again", lambda: program.lives != life)
        self.suffering.discard(program.name)

    def _find_leader(self) -> Program:
        operators = self.installation.operators
        eventually("somebody leads", lambda: any(each.is_leader for each in operators))
        return next((each for each in operators if each.is_leader), operators[0])

    def _wait_for_leader(self, operators: Sequence[Program]) -> None:
        """Return when one of them leads and has made a Job."""
        eventually("somebody leads", lambda: any(each.is_leader for each in operators))
        began_at = time.monotonic()
        eventually("the leader has made a Job", lambda: self.fleet.last_job_at > began_at, within_seconds=60)

    def _note(self, after: str, began_at: float) -> None:
        self.recoveries.append(Recovery(after, time.monotonic() - began_at))
