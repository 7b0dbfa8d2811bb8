"""Growth is told of what has warmed up, by medians, so that a single peak is none."""

from tests.reliability.load.meter import LONG_LIFE_SECONDS, WARM_UP_SECONDS, Life

SECONDS = int(WARM_UP_SECONDS) + 400


def make_life(sizes: list[int]) -> Life:
    return Life("operator", memory=[(1000.0 + second, size) for second, size in enumerate(sizes)])


def test_steady_growth_is_told_per_hour() -> None:
    growth = make_life([1000 + second for second in range(SECONDS)]).measure_growth()

    assert growth is not None
    assert round(growth.bytes_per_hour) == 3600
    assert list(growth.course) == sorted(growth.course)


def test_warm_up_and_a_peak_are_no_growth() -> None:
    sizes = [1] * int(WARM_UP_SECONDS) + [1000] * 400
    sizes[-10] = 1_000_000
    growth = make_life(sizes).measure_growth()

    assert growth is not None
    assert growth.share == 0


def test_short_life_tells_nothing() -> None:
    assert make_life([1000] * int(LONG_LIFE_SECONDS - 1)).measure_growth() is None
    assert make_life([]).measure_growth() is None
