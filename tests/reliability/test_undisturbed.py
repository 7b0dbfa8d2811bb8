"""Every story without any fault: what is compared to later."""

from functools import partial

import pytest

from tests.reliability.matrix import Case, run_all
from tests.reliability.playing import Theatre
from tests.reliability.story import list_stories


@pytest.mark.matrix
def test_stories_go_well_without_faults(theatre: Theatre) -> None:
    run_all([Case(str(story), partial(theatre.play_undisturbed, story)) for story in list_stories()])
