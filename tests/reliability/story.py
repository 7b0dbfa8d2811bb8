"""Stories: scripts of what people and callers do. Each file in `stories/` holds some, and every fault can meet each."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from tests.reliability.stage import Stage

Play = Callable[[Stage], None]


@dataclass(frozen=True)
class Story:
    """A script; it plays on an installation that serves already, and leaves nothing under way."""

    name: str
    play: Play

    def __str__(self) -> str:
        return self.name


_STORIES: dict[str, Story] = {}


def story(play: Play) -> Play:
    """Make a function a story under its own name."""
    assert play.__name__ not in _STORIES, "another story has this name"
    _STORIES[play.__name__] = Story(play.__name__, play)
    return play


def list_stories() -> tuple[Story, ...]:
    """Return all stories, by name."""
    package = import_module("tests.reliability.stories")
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return tuple(_STORIES[name] for name in sorted(_STORIES))


def find_story(name: str) -> Story:
    """Return the story of this name."""
    return next(story for story in list_stories() if story.name == name)
