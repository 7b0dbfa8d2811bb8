"""How near a process came to being killed by its probe is told rightly."""

import pytest

from tests.reliability.load.prober import DEFAULTS, Kubelet, Probe, Prober, find_longest_silence, read_chart

GOOD = (200, 0.01)
SLOW = (200, 2.0)
NONE = (0, 0.0)
PATIENT = Kubelet(period_seconds=30, timeout_seconds=30, failures=6)


def make_probes(*answers: tuple[int, float], life: int = 1, path: str = "/healthz") -> list[Probe]:
    return [Probe(program="operator", life=life, path=path, code=code, seconds=seconds) for code, seconds in answers]


@pytest.mark.parametrize(
    ("probes", "kubelet", "seconds"),
    [
        pytest.param(make_probes(GOOD, GOOD), DEFAULTS, 0.0, id="well"),
        pytest.param(make_probes(GOOD, SLOW, SLOW, GOOD), DEFAULTS, 6.0, id="slow-for-one-second"),
        pytest.param(make_probes(GOOD, SLOW, SLOW, GOOD), PATIENT, 0.0, id="not-slow-for-thirty"),
        pytest.param(make_probes(NONE, GOOD, NONE, NONE, NONE), PATIENT, 3.0, id="longest-in-a-row"),
        pytest.param(make_probes(NONE) + make_probes(NONE, life=2), PATIENT, 1.0, id="lives-apart"),
        pytest.param(make_probes(NONE, path="/readyz"), PATIENT, 0.0, id="other-probe"),
    ],
)
def test_longest_silence(probes: list[Probe], kubelet: Kubelet, seconds: float) -> None:
    assert find_longest_silence(probes, "/healthz", kubelet) == seconds


def test_process_that_would_be_killed_is_complained_of() -> None:
    patience = read_chart("liveness").patience_seconds
    prober = Prober([], set(), probes=make_probes(GOOD, *[NONE] * (int(patience) + 1)))
    prober.boots["/healthz"].append(read_chart("startup").patience_seconds)

    assert len(prober.complain()) == 2


def test_process_that_is_not_ready_for_long_is_complained_of() -> None:
    prober = Prober([], set(), probes=make_probes(GOOD, *[(503, 0.01)] * 5, path="/readyz"))
    prober.boots["/healthz"].append(1.0)

    assert prober.complain() == ["the readiness probe failed for 5 s and would have kept callers away"]


def test_process_that_says_it_is_dead_is_complained_of() -> None:
    prober = Prober([], set(), probes=make_probes(GOOD, (503, 0.01)))

    assert prober.complain() == ["a living process said that it is not alive"]
