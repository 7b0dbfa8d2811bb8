from diem_operator.access.fair_queue import FairQueue


def build_queue(*entries: tuple[str, str], max_per_subject: int = 100) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(max_per_subject=max_per_subject)
    for subject, item in entries:
        assert queue.put(subject, item)
    return queue


def take_all(queue: FairQueue[str]) -> list[str]:
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item)
    return taken


def test_subjects_take_turns_and_items_of_one_keep_their_order() -> None:
    queue = build_queue(("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2"))

    assert take_all(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_newcomer_waits_for_one_item_of_each_other_subject_at_most() -> None:
    queue = build_queue(*(("flood", f"flood{number}") for number in range(50)))
    assert queue.take() == "flood0"
    queue.put("late", "late")

    assert [queue.take(), queue.take()] == ["flood1", "late"]


def test_subject_that_comes_again_gets_no_second_turn_before_others() -> None:
    queue = build_queue(("a", "a1"), ("b", "b1"), ("c", "c1"))
    assert queue.take() == "a1"
    queue.put("a", "a2")

    assert take_all(queue) == ["b1", "c1", "a2"]


def test_subject_with_too_many_items_is_refused_alone() -> None:
    queue = build_queue(("a", "a1"), ("a", "a2"), max_per_subject=2)

    assert not queue.put("a", "a3")
    assert queue.put("b", "b1")
    assert take_all(queue) == ["a1", "b1", "a2"]
    assert queue.put("a", "a4")


def test_discarded_item_is_not_taken_and_makes_room() -> None:
    queue = build_queue(("a", "a1"), ("a", "a2"), ("b", "b1"), max_per_subject=2)
    queue.discard("a", "a1")
    queue.discard("b", "b1")
    queue.discard("b", "never there")
    queue.discard("nobody", "x")

    assert len(queue) == 1
    assert queue.put("a", "a3")
    assert take_all(queue) == ["a2", "a3"]


def test_empty_queue_has_nothing() -> None:
    assert build_queue().take() is None
    assert len(build_queue()) == 0
