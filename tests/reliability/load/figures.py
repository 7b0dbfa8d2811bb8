"""The table of figures of one load. Figures tell; only the judgement decides."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median, quantiles

from tests.reliability.load.meter import Growth, Life
from tests.reliability.load.play import Load
from tests.reliability.load.prober import DEFAULTS, PATHS, find_longest_silence, read_chart

MEBIBYTE = 1024 * 1024
_FIRST_SECONDS = 10
"""Of a life, not counted as its memory: it is still importing."""

Figure = tuple[str, str]


def print_table(load: Load) -> str:
    """Return all figures, one a line."""
    figures = [*_tell_sizes(load), *_tell_runs(load), *_tell_callers(load), *_tell_recoveries(load)]
    figures += [*_tell_costs(load), *_tell_memory(load), *_tell_probes(load)]
    width = max(len(name) for name, _ in figures)
    return "\n".join(f"{name:{width}}  {value}" for name, value in figures)


def _tell_sizes(load: Load) -> Iterator[Figure]:
    sizes = load.sizes
    yield "load", f"{sizes.diemjobs} DiemJobs, {sizes.live} live runs of {sizes.run_seconds:g} s, {sizes.seconds:g} s"
    yield "machine", f"{os.cpu_count()} processors, shared with the control plane and the load itself"
    yield "DiemJobs made", f"in {load.creating_seconds:.1f} s; all with a status {load.answering_seconds:.1f} s later"


def _tell_runs(load: Load) -> Iterator[Figure]:
    runs = [*load.fleet.runs.values()]
    phases = Counter(run.phase or "not over" for run in runs)
    yield "starts accepted", f"{len(runs)}, {len(runs) / load.loaded_seconds:.1f}/s"
    yield "runs finished", f"{sum(run.over_at is not None for run in runs)}: {_list(phases)}"
    delays = [max(0.0, run.job_at - run.accepted_at) for run in runs if run.job_at is not None]
    yield "accepted start to its Job", _tell_seconds(delays)


def _tell_callers(load: Load) -> Iterator[Figure]:
    for action, seconds in load.desk.seconds.items():
        yield f"answer to {action}", _tell_seconds(seconds)
    codes = Counter({f"{action} {code or 'none'}": number for (action, code), number in load.desk.codes.items()})
    yield "answers to callers", _list(codes)
    for kind, counts in load.floods.counts.items():
        yield f"answers to floods, {kind} key", _list(counts)


def _tell_recoveries(load: Load) -> Iterator[Figure]:
    by_cause: dict[str, list[float]] = {}
    for recovery in load.disturbances.recoveries:
        by_cause.setdefault(recovery.after, []).append(recovery.seconds)
    for after, seconds in by_cause.items():
        what = "ready again" if after.startswith("API") else "somebody leads and has made a Job"
        yield f"{after}: {what}", f"{len(seconds)} times, median {median(seconds):.1f} s, max {max(seconds):.1f} s"


def _tell_costs(load: Load) -> Iterator[Figure]:
    runs = max(1, len(load.fleet.runs))
    for role in ("operator", "api"):
        cpu = load.meter.sum_cpu_seconds(role)
        yield f"{role} CPU", f"{cpu:.1f} s, {cpu / runs * 1000:.1f} ms a run, floods and restarts included"
        requests = load.meter.sum_requests(role)
        yield f"{role} requests to the API server", f"{requests.total() / runs:.2f} a run: {_list(requests, per=runs)}"


def _tell_memory(load: Load) -> Iterator[Figure]:
    for role in ("operator", "api"):
        sizes = [size for life in load.meter.list_of(role) for size in _list_sizes(life)]
        if sizes:
            smallest, usual, largest = map(_tell_size, (min(sizes), median(sizes), max(sizes)))
            yield f"{role} RSS", f"min {smallest}, median {usual}, max {largest} MiB"
    for growth in list_growths(load):
        name = growth.program.rpartition("-story")[0]
        yield f"growth of {name}", f"{_tell_growth(growth)}: {' '.join(map(_tell_size, growth.course))} MiB"


def _tell_probes(load: Load) -> Iterator[Figure]:
    probes = load.prober.probes
    for path in PATHS:
        yield f"{path} of the living", _tell_seconds([probe.seconds for probe in probes if probe.path == path])
        boots = load.prober.boots[path]
        yield f"{path} after a start", f"median {median(boots):.1f} s, max {max(boots):.1f} s"
    for asking, kubelet in (("the chart asks", read_chart("liveness")), ("Kubernetes asks by default", DEFAULTS)):
        silent = find_longest_silence(probes, "/healthz", kubelet)
        yield f"/healthz failed, as {asking}", f"{silent:.1f} s at most; {kubelet.patience_seconds:.0f} s may kill"
    chart = read_chart("readiness")
    silent = find_longest_silence(probes, "/readyz", chart)
    yield "/readyz failed, as the chart asks", f"{silent:.1f} s at most; {chart.patience_seconds:.0f} s lose callers"


def list_growths(load: Load) -> list[Growth]:
    """Return how the memory of every long life grew."""
    growths = (life.measure_growth() for life in load.meter.lives.values())
    return [growth for growth in growths if growth is not None]


def _list_sizes(life: Life) -> Iterable[int]:
    return (size for at, size in life.memory if at - life.memory[0][0] > _FIRST_SECONDS)


def _tell_growth(growth: Growth) -> str:
    per_hour = f"{growth.share:+.1%}; {growth.bytes_per_hour / MEBIBYTE:+.1f} MiB/h"
    return f"{(growth.after_bytes - growth.before_bytes) / MEBIBYTE:+.1f} MiB in {growth.seconds:.0f} s ({per_hour})"


def _tell_size(size: float) -> str:
    return f"{size / MEBIBYTE:.0f}"


def _tell_seconds(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none"
    cuts = quantiles(seconds, n=100, method="inclusive")
    return (
        f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, max {max(seconds) * 1000:.0f} ms ({len(seconds)})"
    )


def _list(counts: Counter[str], *, per: int = 0) -> str:
    """Return what was counted, the most first; nothing that is below a hundredth."""
    values = {name: number / per if per else number for name, number in counts.most_common()}
    return ", ".join(f"{name} {f'{value:.2f}' if per else value}" for name, value in values.items() if value >= 0.01)
