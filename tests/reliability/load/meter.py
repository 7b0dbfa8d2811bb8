"""What each process costs: its memory and processor time as the kernel counts them, its requests as it counts them."""

import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import requests

from tests.reliability.processes import Program

PERIOD_SECONDS = 1.0
SCRAPE_EVERY = 5
WARM_UP_SECONDS = 150.0
"""Both replicas have led by then: to take over costs memory once."""

LONG_LIFE_SECONDS = 270.0
COURSE_POINTS = 6

_REQUESTS = re.compile(r"^diem_\w+_kubernetes_requests_total\{(.*)\} (\S+)$", re.MULTILINE)
_METHOD = re.compile(r'method="(\w+)"')
_RESOURCE = re.compile(r'resource="([^"]+)"')


@dataclass(frozen=True)
class Growth:
    """How the memory of one life grew after its warm-up.

    Attributes:
        before_bytes, after_bytes: medians of its first and last quarter.
        seconds: between the middles of those.
        course: medians of a few equal times from the warm-up to the end, in bytes.
    """

    program: str
    before_bytes: float
    after_bytes: float
    seconds: float
    course: tuple[float, ...]

    @property
    def share(self) -> float:
        return self.after_bytes / self.before_bytes - 1

    @property
    def bytes_per_hour(self) -> float:
        return (self.after_bytes - self.before_bytes) / self.seconds * 3600


@dataclass
class Life:
    """One process.

    Attributes:
        memory: resident bytes, by the monotonic clock.
        cpu_seconds: used so far.
        requests: to the API server so far, by what they ask.
    """

    program: str
    memory: list[tuple[float, int]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)

    def measure_growth(self) -> Growth | None:
        """Return how it grew; None for one that did not live long enough to tell."""
        began_at = self.memory[0][0] + WARM_UP_SECONDS if self.memory else 0.0
        warm = [(at, size) for at, size in self.memory if at >= began_at]
        if not warm or warm[-1][0] - warm[0][0] < LONG_LIFE_SECONDS - WARM_UP_SECONDS:
            return None
        quarter = len(warm) // 4
        first, last = warm[:quarter], warm[-quarter:]
        return Growth(
            program=self.program,
            before_bytes=median(size for _, size in first),
            after_bytes=median(size for _, size in last),
            seconds=median(at for at, _ in last) - median(at for at, _ in first),
            course=tuple(median(sizes) for sizes in _cut([size for _, size in warm], COURSE_POINTS)),
        )


@dataclass
class Meter:
    """Reads every process each second, from `begin` to `end`.

    Attributes:
        lives: by the program's name and the number of its life.
    """

    programs: Sequence[Program]
    suffering: set[str]
    lives: dict[tuple[str, int], Life] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()
        self._read(is_scraping=True)

    def begin_anew(self) -> None:
        """Forget what was used so far, but not by whom."""
        self._read(is_scraping=True)
        self._before = {key: (life.cpu_seconds, Counter(life.requests)) for key, life in self.lives.items()}

    def list_of(self, role: str) -> list[Life]:
        return [life for (name, _), life in self.lives.items() if name.startswith(role)]

    def sum_cpu_seconds(self, role: str) -> float:
        """Return the processor time of all processes of a role since `begin_anew`."""
        before = sum(cpu for (name, _), (cpu, _) in self._before.items() if name.startswith(role))
        return sum(life.cpu_seconds for life in self.list_of(role)) - before

    def sum_requests(self, role: str) -> Counter[str]:
        """Return the requests of all processes of a role to the API server since `begin_anew`."""
        total: Counter[str] = Counter()
        for life in self.list_of(role):
            total.update(life.requests)
        for (name, _), (_, before) in self._before.items():
            if name.startswith(role):
                total.subtract(before)
        return total

    def _run(self) -> None:
        count = 0
        while not self._is_over.wait(PERIOD_SECONDS):
            count += 1
            self._read(is_scraping=count % SCRAPE_EVERY == 0)

    def _read(self, *, is_scraping: bool) -> None:
        for program in self.programs:
            number = program.lives
            if number == 0 or program.name in self.suffering:
                continue
            life = self.lives.setdefault((program.name, number), Life(program.name))
            try:
                size, life.cpu_seconds = program.read_usage()
            except (OSError, IndexError):
                continue  # it has just died
            life.memory.append((time.monotonic(), size))
            if is_scraping and (told := _scrape(program)):
                life.requests = told


def _cut(values: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Return the values in equal parts; at least one value in each is expected."""
    size = len(values) // parts
    return [values[place * size : (place + 1) * size] for place in range(parts)]


def _scrape(program: Program) -> Counter[str]:
    try:
        text = requests.get(f"http://127.0.0.1:{program.probe_port}/metrics", timeout=5).text
    except requests.RequestException:
        return Counter()
    counts: Counter[str] = Counter()
    for labels, value in _REQUESTS.findall(text):
        method, resource = _METHOD.search(labels), _RESOURCE.search(labels)
        assert method is not None
        assert resource is not None
        if method[1] == "WATCH":
            continue  # is opened anew every few minutes, whatever there is to do
        counts[f"{method[1]} {resource[1]}"] += int(float(value))
    return counts
