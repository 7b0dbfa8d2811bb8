"""Plays one story on an installation of its own, with faults or without, and has it judged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.reliability.history import History
from tests.reliability.installation import Installation, Site
from tests.reliability.oracle import describe_end, judge
from tests.reliability.scene import PATIENCE_SECONDS
from tests.reliability.stage import Stage
from tests.reliability.story import Story

Arrange = Callable[[Installation], None]


@dataclass
class Outcome:
    """How a story went.

    Attributes:
        end: the end state in words that are the same each time.
        complaints: what the oracle found.
    """

    history: History
    end: dict[str, Any]
    complaints: list[str]


@dataclass
class Theatre:
    """Plays stories on one site, and remembers how each goes when nothing is wrong."""

    site: Site
    _undisturbed: dict[str, Outcome] = field(default_factory=dict)

    @contextmanager
    def stage(
        self,
        *,
        operators: int = 1,
        arguments: Sequence[str] = (),
        api_arguments: Sequence[str] = (),
        patience_seconds: float = PATIENCE_SECONDS,
        arrange: Arrange = lambda _: None,
    ) -> Iterator[Stage]:
        """Give an installation that serves; `arrange` sets faults up before anything is started."""
        with self.site.install(operators=operators, arguments=arguments, api_arguments=api_arguments) as installation:
            arrange(installation)
            stage = Stage(installation, patience_seconds=patience_seconds)
            try:
                installation.begin()
                yield stage
            finally:
                stage.witness.stop()
                installation.wait_disturbed()

    def play(
        self,
        story: Story,
        arrange: Arrange = lambda _: None,
        *,
        operators: int = 1,
        arguments: Sequence[str] = (),
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Outcome:
        """Play a story; `arrange` sets faults up before anything is started."""
        with self.stage(
            operators=operators, arguments=arguments, patience_seconds=patience_seconds, arrange=arrange
        ) as stage:
            story.play(stage)
            return conclude(stage)

    def play_undisturbed(self, story: Story) -> Outcome:
        """Return how the story goes without faults; it is played once."""
        if story.name not in self._undisturbed:
            outcome = self.play(story)
            wrong = "\n".join([f"{story} went wrong without any fault", *outcome.complaints])
            assert outcome.complaints == [], wrong
            self._undisturbed[story.name] = outcome
        return self._undisturbed[story.name]

    def check(
        self,
        story: Story,
        arrange: Arrange,
        *,
        operators: int = 1,
        arguments: Sequence[str] = (),
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Outcome:
        """Play a story under a fault; nothing may be wrong, and its end must be that of the undisturbed one."""
        expected = self.play_undisturbed(story)
        outcome = self.play(story, arrange, operators=operators, arguments=arguments, patience_seconds=patience_seconds)
        explain = "\n".join(map(str, outcome.history.exchanges))
        assert outcome.complaints == [], "\n".join([*outcome.complaints, explain])
        assert outcome.end == expected.end, f"{outcome.end}\ninstead of {expected.end}\n{explain}"
        return outcome


def conclude(stage: Stage) -> Outcome:
    """Let everything come to rest, and have it judged."""
    stage.come_to_rest()
    history = stage.tell()
    return Outcome(history=history, end=describe_end(history), complaints=judge(history))
