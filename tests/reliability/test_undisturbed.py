"""Every story without any fault: what is compared to later."""

import pytest

from tests.reliability.playing import Theatre
from tests.reliability.story import Story, list_stories


@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_story_goes_well_without_faults(theatre: Theatre, story: Story) -> None:
    theatre.play_undisturbed(story)
