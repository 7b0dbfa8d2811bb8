import random

import pytest

from diem_operator.access.rate_limits import RateLimiter


def count_admitted(limiter: RateLimiter, subject: str, count: int, *, now: float) -> int:
    return sum(limiter.admit(subject, now=now) == 0 for _ in range(count))


@pytest.mark.parametrize(
    ("per_second", "burst"), [(10.0, 100), (10.0, 1), (0.1, 3), (3.0, 7), (1000.0, 1000), (0.7, 9)]
)
def test_idle_subject_has_exactly_its_burst(per_second: float, burst: int) -> None:
    limiter = RateLimiter(per_second=per_second, burst=burst)

    assert count_admitted(limiter, "a", burst + 50, now=123456.789) == burst


def test_rate_holds_in_the_long_run_however_often_it_is_tried() -> None:
    limiter = RateLimiter(per_second=10, burst=5)

    admitted = sum(limiter.admit("a", now=tick / 1000) == 0 for tick in range(60_000))

    assert 600 <= admitted <= 605


def test_wait_that_is_told_suffices_and_is_needed() -> None:
    limiter = RateLimiter(per_second=2, burst=1)
    limiter.admit("a", now=10)

    wait = limiter.admit("a", now=10)

    assert 0 < wait <= 0.5
    assert limiter.admit("a", now=10 + wait - 0.01) > 0
    assert limiter.admit("a", now=10 + wait) == 0


def test_subject_that_paused_has_its_burst_again() -> None:
    limiter = RateLimiter(per_second=10, burst=20)
    count_admitted(limiter, "a", 20, now=0)

    assert count_admitted(limiter, "a", 20, now=1) == 10
    assert count_admitted(limiter, "a", 50, now=100) == 20


def test_subjects_do_not_count_for_each_other() -> None:
    limiter = RateLimiter(per_second=1, burst=2)

    assert [count_admitted(limiter, subject, 5, now=0) for subject in ("a", "b")] == [2, 2]


def test_clock_that_stands_still_or_steps_back_admits_nobody_more() -> None:
    limiter = RateLimiter(per_second=1, burst=2)

    assert count_admitted(limiter, "a", 5, now=100) == 2
    assert count_admitted(limiter, "a", 5, now=99) == 0


def test_memory_is_bounded_by_idle_subjects_that_are_forgotten() -> None:
    limiter = RateLimiter(per_second=10, burst=5, max_subjects=1000)
    for number in range(900):
        limiter.admit(str(number), now=0)
    assert len(limiter) == 900

    limiter.admit("later", now=60)

    assert len(limiter) == 1


def test_memory_is_bounded_when_all_are_in_debt() -> None:
    limiter = RateLimiter(per_second=0.001, burst=5, max_subjects=100)

    for number in range(5000):
        limiter.admit(str(number), now=0)

    assert len(limiter) == 100


def test_hot_subject_outlives_any_number_of_subjects_with_less_debt() -> None:
    limiter = RateLimiter(per_second=10, burst=100, max_subjects=100)
    assert count_admitted(limiter, "hot", 200, now=0) == 100

    for number in range(5000):
        assert count_admitted(limiter, f"attacker-{number}", 3, now=0.001) == 3

    assert limiter.admit("hot", now=0.002) > 0


def test_forgetting_a_hot_subject_costs_more_than_it_brings() -> None:
    limiter = RateLimiter(per_second=10, burst=100, max_subjects=100)
    count_admitted(limiter, "hot", 100, now=0)

    spent = 0
    while limiter.admit("hot", now=0.001) > 0:
        spent += count_admitted(limiter, f"attacker-{spent}", 100, now=0.001)

    assert spent >= 99 * 100


def test_forgotten_subjects_are_those_with_the_least_debt() -> None:
    generator = random.Random(7)  # the order must not matter
    limiter = RateLimiter(per_second=1, burst=1000, max_subjects=50)
    debts = {f"s{number}": number + 1 for number in range(50)}
    events = [subject for subject, debt in debts.items() for _ in range(debt)]
    generator.shuffle(events)
    for subject in events:
        limiter.admit(subject, now=0)

    for number in range(10):
        assert count_admitted(limiter, f"new-{number}", 500, now=0) == 500

    for number in range(49, 9, -1):
        assert count_admitted(limiter, f"s{number}", 1001, now=0) == 1000 - (number + 1)
    assert count_admitted(limiter, "s9", 1001, now=0) == 1000
