"""What was measured: figures with their baselines, as a table and as JSON."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One line.

    Attributes:
        name: what was measured.
        value: in `unit`.
        baseline: in the same unit, measured in the same run; None for a figure that stands for itself.
        baseline_name: what that is.
        goal: the ratio to the baseline, or the value where there is none, that is good enough; None for no goal.
        is_more_better: whether the goal is the least, not the most.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_name: str = ""
    goal: float | None = None
    is_more_better: bool = False

    @property
    def ratio(self) -> float | None:
        """The value in baselines."""
        return self.value / self.baseline if self.baseline else None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        measured = self.value if self.baseline is None else self.ratio
        if self.goal is None or measured is None:
            return None
        return measured >= self.goal if self.is_more_better else measured <= self.goal


@dataclass
class Report:
    """The figures of one run, in order."""

    machine: str
    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Take in a figure and print it, as a run takes minutes."""
        self.figures.append(figure)
        print(_format_line(figure), flush=True)

    def write(self, path: Path) -> None:
        """Write everything as JSON, and say where."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [asdict(each) | {"ratio": each.ratio, "is_met": each.is_met} for each in self.figures]
        path.write_text(json.dumps({"machine": self.machine, "figures": lines}, indent=2) + "\n")
        print(f"\nwritten: {path}")


def print_head(machine: str) -> None:
    """Print what the columns are."""
    print(f"{machine}\n")
    print(f"{'figure':52} {'value':>10} {'unit':7} {'baseline':>10} {'ratio':>7}  goal")


def _format_line(figure: Figure) -> str:
    baseline = "" if figure.baseline is None else f"{figure.baseline:.4g}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    line = f"{figure.name:52} {figure.value:10.4g} {figure.unit:7} {baseline:>10} {ratio:>7}  {_format_goal(figure)}"
    return line.rstrip() + (f"  ({figure.baseline_name})" if figure.baseline_name else "")


def _format_goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "≥" if figure.is_more_better else "≤"
    return f"{sign} {figure.goal:g} {'met' if figure.is_met else 'MISSED'}"


def find_percentile(seconds: Sequence[float], percent: int) -> float:
    """Return a percentile of some times; the longest one of few."""
    if len(seconds) < 2:
        return max(seconds)
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]
