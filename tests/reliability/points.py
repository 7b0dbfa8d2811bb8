"""Cases that put a fault on one call of a story: which calls there are is told by the story without faults."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tests.reliability.installation import Installation
from tests.reliability.matrix import Case, Point, Reaching, list_points
from tests.reliability.playing import Theatre
from tests.reliability.processes import Program
from tests.reliability.proxy import Call
from tests.reliability.proxy.faults import Notice
from tests.reliability.proxy.rules import Fault, Rule
from tests.reliability.story import Story, find_story

MakeFault = Callable[[Program], Fault]
Choice = Callable[[Story, Point, str], bool]
"""Takes story, call and fault."""


def every(_: Story, __: Point, ___: str) -> bool:
    """Choose all."""
    return True


def none(_: Story, __: Point, ___: str) -> bool:
    """Choose nothing: all belongs to the long form."""
    return False


def build_cases(
    theatre: Theatre,
    story: Story,
    role: str,
    faults: Mapping[str, MakeFault],
    *,
    points: Callable[[Point], bool] = lambda point: not point.is_boot,
    is_short: Choice = every,
) -> list[Case]:
    """Return a case for each fault on each call of one process.

    Args:
        theatre: plays.
        story: which.
        role: "operator" or "api".
        faults: by the names that the cases get.
        points: the calls in question.
        is_short: which cases belong to the short form.
    """
    return [
        Case(
            name=f"{story} {role} {name} {point}",
            run=partial(_check, theatre, story, role, point, make_fault),
            is_long=not is_short(story, point, name),
        )
        for point in filter(points, list_calls(theatre, story, role))
        for name, make_fault in faults.items()
    ]


def build_boot_cases(
    theatre: Theatre,
    role: str,
    faults: Mapping[str, MakeFault],
    *,
    points: Callable[[Point], bool] = lambda _: True,
    is_short: Choice = none,
) -> list[Case]:
    """Return a case for each fault on each call of a process's start; one story does, as all starts are alike."""
    story = find_story("state_is_toggled_by_hand")
    return build_cases(
        theatre, story, role, faults, points=lambda point: point.is_boot and points(point), is_short=is_short
    )


def list_calls(theatre: Theatre, story: Story, role: str) -> Sequence[Point]:
    """Return the calls of one process in the story without faults."""
    exchanges = theatre.play_undisturbed(story).history.exchanges
    return list_points(each for each in exchanges if each.call.client.startswith(role))


def _check(theatre: Theatre, story: Story, role: str, point: Point, make_fault: MakeFault) -> bool:
    rules: list[Rule] = []

    def arrange(installation: Installation) -> None:
        program = installation.operator if role == "operator" else installation.api
        rules.append(program.proxy.rules.add(Reaching(point), make_fault(program), times=1))

    theatre.check(story, arrange)
    return is_reached(point, rules[0])


def is_reached(point: Point, rule: Rule) -> bool:
    """Whether the rule for a call was met, as that for the first write of a kind must be.

    Looks depend on what a watch has told by then; and later writes of a kind may fall together, as two changes of a
    status do where the first was not yet written.
    """
    is_met = bool(rule.met)
    assert is_met or point.nth > 1 or not changes_something(point), f"{point} was not reached"
    return is_met


def interrupt(installation: Installation, point: Point, deed: Callable[[], None], *, is_after: bool) -> Rule:
    """Let a deed begin just before or after the first operator makes a call; the call waits for nothing."""

    def begin(_: Call) -> None:
        installation.disturb(deed)

    return installation.operator.proxy.rules.add(Reaching(point), Notice(begin, is_after=is_after), times=1)


def is_write(point: Point) -> bool:
    """Whether a call of a process that serves changes anything that counts; Events are news, not facts."""
    return not point.is_boot and changes_something(point)


def changes_something(point: Point) -> bool:
    """Whether a call is a write, at whatever time, of more than an Event."""
    verb, _, resource = point.what.partition(" ")
    return verb in {"create", "update", "patch", "delete"} and resource != "events"
