"""Hypothesis chooses the order of events; the ledger judges. Set DIEM_HYPOTHESIS_PROFILE=deep for a long search.

It is slower than the explorer, and looks where the explorer does not: it learns from what it has tried.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.simulation.history import Step, make
from tests.simulation.move import Move
from tests.simulation.moves import MOVES
from tests.simulation.simulation import Simulation

settings.register_profile(
    "quick", max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile(
    "deep", max_examples=20_000, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
)
PROFILE = settings.get_profile(os.environ.get("DIEM_HYPOTHESIS_PROFILE", "quick"))


class RunRulesBase(RuleBasedStateMachine):
    """Every move of the simulation, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Simulation()

    @invariant()
    def shows_no_older_end_than_what_was_accepted(self) -> None:
        if self.world.diemjob is not None:
            self.world.ledger.judge_display(self.world.diemjob)

    def teardown(self) -> None:
        self.world.rest_for_long()


def make_rule(move: Move) -> Callable[..., None]:
    """Return the rule that makes this move, with any of its choices; a history begins with one of weight 0."""

    def carry_out(self: RunRulesBase, **arguments: Any) -> None:
        make(self.world, Step(move, tuple(arguments.items())))

    carry_out.__name__ = move.name
    choices: dict[str, Any] = {name: st.sampled_from(values) for name, values in move.choices.items()}
    enter: Callable[..., Any] = rule if move.weight else initialize
    decorated: Callable[..., None] = enter(**choices)(carry_out)
    return decorated


RunRules = type("RunRules", (RunRulesBase,), {name: make_rule(move) for name, move in MOVES.items()})
RunRules.TestCase.settings = PROFILE  # type: ignore[attr-defined] # made by Hypothesis
TestRunRules = pytest.mark.filterwarnings("default")(RunRules.TestCase)  # type: ignore[attr-defined] # the same
